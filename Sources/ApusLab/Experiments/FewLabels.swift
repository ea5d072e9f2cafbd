import ApusReport
import ApusTraining

/// Pretraining without labels helps most where labels are few.
struct FewLabels: Experiment {
    let name = "labels"
    let title = "Few labels"
    let claim = """
        With 1 % of the labels, a network that was pretrained without any (SimCLR) and then fine-tuned \
        recognizes far more than one that learns from these labels alone. With 10 % the difference is \
        smaller, and with all labels there is little left to gain.
        """
    let paper = "Chen, Kornblith, Norouzi and Hinton 2020, section 6, table 7"
    let minutes = 14.0
    let criteria = [
        Criterion(
            "learned", "accuracy of the probe: pretrained minus the untrained encoder",
            .above(0.01), isCondition: true),
        Criterion(
            "few", "test accuracy with 1 % of the labels: fine-tuned minus from scratch",
            .above(0.01)),
        Criterion(
            "shrinks", "that difference at 1 % minus that with all labels", .above(0.01)),
        Criterion(
            "middle", "the difference at 1 % minus that at 10 %", .above(0)),
        Criterion("all", "the difference with all labels", .above(-0.01)),
    ]

    private let percents = [1.0, 10, 100]
    /// Of the budget: training from scratch and fine-tuning at each percentage; pretraining gets the rest.
    private let share = 0.11

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let data = try lab.data()
        let recipe = try lab.pretraining()
        let network = lab.residual(try data.network("resnet8-cifar", scale: 0.5))
        let parts = percents.map { data.labelled($0 / 100) }
        let scratch = try zip(percents, parts).map { percent, part in
            let label = "from scratch, \(NumberText.short(percent)) %"
            var job = TrainingJob(label, network, learningRate: 0.05)
            job.batch = min(64, part.train.count)
            // The usual crops and mirroring, for half the size.
            job.augmentation = .cropAndFlip
            job.augmentation?.randomCropPadding = 2
            return try lab.train([job], on: part, share: share, points: 4)[0]
        }
        let schedule = scratch.map { "\($0.plan.steps)" }.joined(separator: ", ")
        let pretrained = try lab.pretrain(
            [PretrainingJob("SimCLR", recipe), .untrained(recipe)], share: 1 - 6 * share,
            inspection: "fine-tuned for \(schedule) steps, tested on "
                + "\(scratch.map { "\($0.plan.lastTestImages)" })"
        ) { moment in
            guard moment.job.length > 0 else { return [:] }
            let accuracies = try zip(scratch, parts).map { from, part in
                let trainer = try LabTrainer(from.job, part, lab.configuration)
                let result = try trainer.run(
                    seed: moment.seed, from.plan, initial: moment.encoder.parameters,
                    shouldStop: lab.shouldStop,
                    progress: { step in
                        lab.report(
                            "fine-tuning on \(part.train.count) labels, seed \(moment.seed): "
                                + "step \(step) of \(from.plan.steps)")
                    })
                return 1 - result.testError
            }
            return ["fine-tuned": accuracies]
        }
        let supervised = scratch.map { Estimate.exact(1) - $0.testError }
        let tuned = percents.indices.map { index in
            Estimate(
                pretrained[0].results.map { $0.extras["fine-tuned"]?[index] ?? .nan },
                resolution: scratch[index].testError.resolution)
        }
        let gaps = zip(tuned, supervised).map { $0 - $1 }
        findings.measured["learned"] = pretrained[0].probe - pretrained[1].probe
        findings.measured["few"] = gaps[0]
        findings.measured["shrinks"] = gaps[0] - gaps[2]
        findings.measured["middle"] = gaps[0] - gaps[1]
        findings.measured["all"] = gaps[2]

        findings.figures = [
            .lines(
                LineChart(
                    "Test accuracy against labels",
                    x: Axis("labels", isLogarithmic: true), y: .percent("test accuracy"),
                    series: [("SimCLR, fine-tuned", tuned), ("from scratch", supervised)].map {
                        name, values in
                        LineChart.Series(
                            name,
                            zip(parts, values).map {
                                LineChart.Point(Double($0.train.count), $1 / .exact(0.01))
                            })
                    })), pretrained.curves(),
        ]
        findings.comparison = DataTable(
            ["labels", "images with labels", "from scratch, %", "fine-tuned, %"],
            percents.indices.map { index in
                [
                    "\(NumberText.short(percents[index])) %", "\(parts[index].train.count)",
                    TrainedJob.percent(supervised[index]), TrainedJob.percent(tuned[index]),
                ]
            })
        findings.setup =
            LabContext.pretrainingSetup + [
                "From scratch and fine-tuned alike: the same labelled images (as many of every class), "
                    + "steps and order, SGD with momentum 0.9, batch 64, learning rate 0.05 falling as a "
                    + "cosine, crops and mirroring; only the first weights differ.",
                "Pretraining sees all training images, no labels.",
            ]
        findings.remarks =
            [
                "Linear probe of the pretrained encoder with \(pretrained[0].plan.probeImages) labels or "
                    + "all there are: \(TrainedJob.percent(pretrained[0].probe)) %; untrained: "
                    + "\(TrainedJob.percent(pretrained[1].probe)) %."
            ] + pretrained.divergences
        return findings
    }
}
