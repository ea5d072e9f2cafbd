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
    /// Features of 8 layers are soon as good as they get.
    private let layers = 20
    /// From scratch and fine-tuned count with the better of two, as each way wants its own.
    private let rates: [Float] = [0.02, 0.1]
    /// Of the budget, for one training at each percentage: many epochs of few images would fit these by heart
    /// and forget what was pretrained. Pretraining gets what four trainings at each leave.
    private let shares = [0.02, 0.04, 0.06]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let data = try lab.data()
        let recipe = try lab.pretraining(layers: layers)
        let network = lab.residual(try data.network("resnet\(layers)-cifar", scale: 0.5))
        let parts = percents.map { data.labelled($0 / 100) }
        let scratch = try percents.indices.map { index in
            let (percent, part) = (percents[index], parts[index])
            let jobs = rates.map { rate in
                let label = "from scratch, \(NumberText.short(percent)) %, rate \(rate)"
                var job = TrainingJob(label, network, learningRate: rate)
                job.batch = min(64, part.train.count)
                // The usual crops and mirroring, for half the size.
                job.augmentation = .cropAndFlip
                job.augmentation?.randomCropPadding = 2
                return job
            }
            return try lab.train(
                jobs, on: part, share: shares[index] * Double(rates.count), points: 4)
        }
        let schedule = scratch.map { "\($0[0].plan.steps)" }.joined(separator: ", ")
        let pretrained = try lab.pretrain(
            [PretrainingJob("SimCLR", recipe), .untrained(recipe)],
            share: 1 - 2 * Double(rates.count) * shares.reduce(0, +),
            inspection: "fine-tuned for \(schedule) steps at \(rates), tested on "
                + "\(scratch.map { "\($0[0].plan.lastTestImages)" })"
        ) { moment in
            guard moment.job.length > 0 else { return [:] }
            var accuracies: [String: [Double]] = [:]
            for (trained, part) in zip(scratch, parts) {
                for from in trained {
                    let trainer = try LabTrainer(from.job, part, lab.configuration)
                    let result = try trainer.run(
                        seed: moment.seed, from.plan, initial: moment.encoder.parameters,
                        shouldStop: lab.shouldStop,
                        progress: { step in
                            lab.report(
                                "fine-tuning on \(part.train.count) labels, seed \(moment.seed): "
                                    + "step \(step) of \(from.plan.steps)")
                        })
                    accuracies["\(from.job.learningRate)", default: []].append(
                        1 - result.testError)
                }
            }
            return accuracies
        }
        func better(_ accuracies: [Estimate]) -> Estimate {
            accuracies.max { $0.mean < $1.mean } ?? Estimate([])
        }
        let supervised = scratch.map { better($0.map { Estimate.exact(1) - $0.testError }) }
        let tuned = percents.indices.map { index in
            better(
                rates.map { rate in
                    Estimate(
                        pretrained[0].results.map { $0.extras["\(rate)"]?[index] ?? .nan },
                        resolution: scratch[index][0].testError.resolution)
                })
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
        // ResNet-50 on ImageNet.
        let published = [
            "top-5 48.4, 75.5", "top-5 80.4, 87.8", "top-1 up to 2 better for wider networks",
        ]
        findings.comparison = DataTable(
            [
                "labels", "images with labels", "from scratch, %", "fine-tuned, %",
                "paper, ImageNet: from scratch, fine-tuned, %",
            ],
            percents.indices.map { index in
                [
                    "\(NumberText.short(percents[index])) %", "\(parts[index].train.count)",
                    TrainedJob.percent(supervised[index]), TrainedJob.percent(tuned[index]),
                    published[index],
                ]
            })
        findings.setup =
            LabContext.pretrainingSetup(layers: layers) + [
                "From scratch and fine-tuned alike: the same labelled images (as many of every class), "
                    + "steps and order, SGD with momentum 0.9, batch 64, learning rates of 0.02 and "
                    + "0.1 falling as a cosine, of which the better counts, crops and mirroring; only "
                    + "the first weights differ.",
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
