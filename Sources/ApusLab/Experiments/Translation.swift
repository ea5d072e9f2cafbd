import ApusGraph
import ApusModels
import ApusReport
import ApusTensor
import ApusTraining

/// A convolution's features move with the image; with pooling over all places behind them, answers
/// survive shifts that ruin a dense network of the same size.
struct Translation: Experiment {
    let name = "translation"
    let title = "Features move with the image"
    let claim = """
        What a convolution computes moves with the image, exactly up to the borders. A network of \
        convolutions and global pooling therefore still recognizes what was moved by 8 pixels, where a \
        dense network of equal size fails. Strides and pooling keep this only for shifts by their \
        multiples.
        """
    let paper = "LeCun, Bottou, Bengio and Haffner 1998, and Zhang 2019 on strides"
    let minutes = 5.0
    let criteria = [
        Criterion(
            "convolution", "relative error of moving a convolution's features, shifts 1 to 4",
            .below(1e-5)),
        Criterion(
            "stride", "the same with stride 2, shift 1: what an odd shift changes", .above(0.05)),
        Criterion(
            "skill", "the convolutional network's accuracy, not moved", .above(0.6),
            isCondition: true),
        Criterion(
            "drop", "accuracy the convolutional network loses by a shift of 8 pixels",
            .below(0.05)),
        Criterion("gap", "how much more the dense network of equal size loses", .above(0.3)),
    ]

    /// Network, accuracy and consistency in percent, as the author keeps them with the code (adobe/antialiased-cnns).
    private let published = [
        ("AlexNet", "56.55", "78.18"), ("ResNet-50", "76.16", "89.20"),
        ("ResNet-50, blurred before strides", "77.04", "91.31"),
    ]
    private let margin = 8
    private let shifts = [-8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let data = try lab.data().mapped("\(lab.data().name) with a margin of 8") {
            Placed(source: $0, margin: margin)
        }
        let moving = try Equivariance(lab, margin: margin).errors(on: data)
        findings.measured["convolution"] = .exact(moving[0].errors.max() ?? .infinity)
        findings.measured["stride"] = .exact(moving[1].errors[0])
        findings.figures.append(
            .bars(
                BarChart(
                    "What a shift changes besides moving the features",
                    y: Axis("relative error away from borders"),
                    groups: moving.map(\.name),
                    series: (1...4).map { shift in
                        BarChart.Series(
                            "shift \(shift)", moving.map { BarChart.Bar($0.errors[shift - 1]) })
                    })))

        let networks = try networks(data)
        let images = min(500, data.test.count)
        let trained = try lab.train(
            networks.map { TrainingJob($0, $1, learningRate: 0.05) }, on: data,
            inspection: "answers at shifts \(shifts) on \(images)"
        ) { moment in
            guard moment.isLast else { return [:] }
            let evaluator = try Evaluator(
                moment.job.network, parameters: moment.parameters, batch: 64,
                configuration: lab.configuration)
            let test = Subset(try lab.data().test, count: images)
            let places = shifts.map { Placed(source: test, margin: margin, right: $0) }
            let answers = try MovedAnswers(evaluator, places, data.preprocessing)
            return ["accuracy": answers.accuracy, "consistency": [answers.consistency]]
        }
        func answers(_ job: TrainedJob, _ key: String, _ index: Int) -> Estimate {
            Estimate(
                job.results.map { $0.extras[key]?[index] ?? .nan }, resolution: 1 / Double(images))
        }
        func accuracy(_ job: TrainedJob, _ index: Int) -> Estimate {
            answers(job, "accuracy", index)
        }
        let middle = shifts.count / 2
        func loss(_ job: TrainedJob) -> Estimate {
            let ends = Estimate(
                zip(accuracy(job, 0).values, accuracy(job, shifts.count - 1).values).map {
                    ($0 + $1) / 2
                })
            return accuracy(job, middle) - ends
        }
        let (network, dense) = (trained[0], trained[3])
        findings.measured["skill"] = accuracy(network, middle)
        findings.measured["drop"] = loss(network)
        findings.measured["gap"] = loss(dense) - loss(network)
        findings.figures.append(
            .lines(
                LineChart(
                    "Accuracy on images that were moved", x: Axis("pixels to the right"),
                    y: .percent("accuracy", includesZero: true),
                    series: trained.map { job in
                        let points = shifts.enumerated().map {
                            LineChart.Point(Double($1), accuracy(job, $0) / .exact(0.01))
                        }
                        return LineChart.Series(job.job.label, points)
                    })))
        findings.comparison = DataTable(
            ["network", "accuracy, not moved, %", "moved by 8, %", "same answer at two places, %"],
            trained.map { job in
                [
                    job.job.label, TrainedJob.percent(accuracy(job, middle)),
                    TrainedJob.percent(accuracy(job, shifts.count - 1)),
                    TrainedJob.percent(answers(job, "consistency", 0)),
                ]
            } + published.map { ["ImageNet, two random crops (Zhang 2019): \($0)", $1, "-", $2] })
        findings.setup = [
            "Training images stand in the middle of a black canvas with 8 pixels on every side; "
                + "\(images) test images are moved on it, so nothing is cut off.",
            "The dense network has as many parameters as the convolutional one.",
        ]
        return findings
    }

    private func networks(_ data: LabData) throws -> [(name: String, network: Network)] {
        func convolutional(_ name: String, strides: Bool, pools: Bool) -> (String, Network) {
            (
                name,
                Network(name, input: data.input) {
                    for (index, width) in [16, 32, 64].enumerated() {
                        let shrinks = index < 2
                        Convolution(width, kernel: 3, stride: strides && shrinks ? 2 : 1)
                        BatchNorm()
                        Activation(.relu)
                        if !strides && shrinks { MaxPool(kernel: 2) }
                    }
                    if pools { GlobalAveragePool() }
                    Flatten()
                    Dense(data.classes)
                }
            )
        }
        let pooled = convolutional("pooling", strides: false, pools: true)
        return [
            pooled, convolutional("strides", strides: true, pools: true),
            convolutional("no global pool", strides: false, pools: false),
            ("dense", try .dense(asLargeAs: pooled.1, classes: data.classes)),
        ]
    }
}
