import ApusReport
import ApusTraining

/// Large batches have many negatives, which short training needs; long training makes up for small ones.
struct BatchAndEpochs: Experiment {
    let name = "batch-and-epochs"
    let title = "Large batches or long training"
    let claim = """
        At equally many images seen, larger batches make contrastive learning better when training is \
        short, because they hold more negatives; the longer the training, the smaller the difference. \
        Negatives are not needed, though: BYOL, which has none, does as well.
        """
    let paper = """
        Chen, Kornblith, Norouzi and Hinton 2020, figure 9, and Grill and others 2020, figure 3
        """
    let minutes = 18.0
    let criteria = [
        Criterion(
            "learned",
            "accuracy of the probe: largest batch, short training, minus the untrained encoder",
            .above(0.01), isCondition: true),
        Criterion(
            "steps", "steps of the largest batch in the short training", .above(300),
            isCondition: true),
        Criterion(
            "short", "accuracy of the probe, short training: largest batch minus smallest",
            .above(0)),
        Criterion(
            "shrinks", "that difference in short training minus that in long training", .above(0)),
        Criterion(
            "byol", "largest batch, short training: BYOL minus SimCLR", .above(-0.02)),
    ]

    private let batches = [8, 32, 128]
    /// As 100, 200 and 800 epochs in the paper's table.
    private let lengths = [1.0, 2, 8]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        func job(
            _ method: PretrainingRecipe.Method, _ batch: Int, _ length: Double
        ) throws -> PretrainingJob {
            let name = method == .byol ? "BYOL" : "SimCLR"
            var recipe = try lab.pretraining(method, batch: batch)
            // Linear, as in figure 9; AdamW moves weights equally far with all batches then.
            // BYOL barely learns in so few steps at SimCLR's rate, or behind a target that follows slowly.
            recipe.learningRate = (method == .byol ? 5e-3 : 2e-3) * Float(batch) / 128
            recipe.targetMomentum = 0.97
            var job = PretrainingJob(
                "\(name), batch \(batch), length \(NumberText.short(length))", recipe)
            job.length = length
            return job
        }
        let jobs =
            try batches.flatMap { batch in try lengths.map { try job(.simclr, batch, $0) } }
            + batches.map { try job(.byol, $0, 1) }
        let all = try lab.pretrain(jobs + [.untrained(lab.pretraining())])
        func simclr(_ batch: Int, _ length: Int) -> PretrainedJob {
            all[batch * lengths.count + length]
        }
        let byol = Array(all[batches.count * lengths.count..<all.count - 1])
        let (small, large) = (0, batches.count - 1)
        let longest = lengths.count - 1
        let short = simclr(large, 0).probe - simclr(small, 0).probe
        let long = simclr(large, longest).probe - simclr(small, longest).probe
        let plan = all[0].plan
        findings.measured["learned"] = simclr(large, 0).probe - all[all.count - 1].probe
        findings.measured["steps"] = .exact(Double(plan.steps(simclr(large, 0).job)))
        findings.measured["short"] = short
        findings.measured["shrinks"] = short - long
        findings.measured["byol"] = byol[large].probe - simclr(large, 0).probe

        let thousands = lengths.map { Double(plan.images) * $0 / 1000 }
        findings.figures = [
            .lines(
                LineChart(
                    "SimCLR: linear probe against the length of training",
                    x: Axis("thousand images seen", isLogarithmic: true),
                    y: .percent("accuracy of the linear probe"),
                    series: batches.enumerated().map { index, batch in
                        LineChart.Series(
                            "batch \(batch)",
                            thousands.enumerated().map {
                                LineChart.Point($1, simclr(index, $0).probe / .exact(0.01))
                            })
                    })),
            .bars(
                BarChart(
                    "Batch sizes in short training", y: .percent("accuracy of the linear probe"),
                    groups: batches.map { "batch \($0)" },
                    series: [
                        BarChart.Series(
                            "SimCLR",
                            batches.indices.map { .init(simclr($0, 0).probe / .exact(0.01)) }),
                        BarChart.Series("BYOL", byol.map { .init($0.probe / .exact(0.01)) }),
                    ],
                    showsDots: true)), all.curves(),
        ]
        // ResNet-50 on ImageNet: SimCLR after 100, 200 and 800 epochs; SimCLR and BYOL after 300.
        let published = [
            "batch 256: 57.5, 61.9, 66.6; 64.3 and 71.8",
            "batch 1024: 62.8, 65.3, 68.5; 67.4 and 72.2",
            "batch 4096: 64.6, 66.5, 68.9; 67.9 and 72.5",
        ]
        let lengthNames = thousands.map { "SimCLR, \(NumberText.short($0)) thousand images, %" }
        let paperName = "papers, ImageNet: SimCLR 100, 200, 800 epochs; SimCLR, BYOL 300, %"
        findings.comparison = DataTable(
            ["batch"] + lengthNames + ["BYOL, shortest, %", paperName],
            batches.indices.map { batch in
                ["\(batches[batch])"]
                    + lengths.indices.map { TrainedJob.percent(simclr(batch, $0).probe) }
                    + [TrainedJob.percent(byol[batch].probe), published[batch]]
            })
        findings.setup =
            LabContext.pretrainingSetup() + [
                "The learning rate grows with the batch, as in the paper's figure 9; if it grows with the "
                    + "root of the batch, small batches lose less (its figure B.1). BYOL learns at 2.5 "
                    + "times SimCLR's rate, and its target keeps 0.97 of itself each step, rising to 1."
            ]
        findings.remarks =
            [
                "A large batch takes fewer steps for the same images. The papers' shortest runs take "
                    + "15,000 steps with their largest batches; with hundreds, the number of steps "
                    + "holds large batches back, and their negatives cannot show."
            ] + all.divergences
        return findings
    }
}
