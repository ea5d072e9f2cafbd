import ApusGraph
import ApusReport

/// Residual layers have little to do: the identity is there from the start, and what they add is small.
struct IdentityShortcuts: Experiment {
    let name = "identity"
    let title = "Why shortcuts help"
    let claim = """
        Doing nothing is hard to learn for a stack of plain layers and free with shortcuts. In trained \
        residual networks layers therefore change their input less than plain ones: their responses \
        are smaller. How a shortcut crosses a change of size matters little.
        """
    let paper = "He, Zhang, Ren and Sun 2015, section 3.1, figure 7 and table 3"
    let minutes = 18.0
    let criteria = [
        Criterion(
            "identity", "error at copying through 16 blocks: without shortcuts minus with them",
            .above(0.3)),
        Criterion(
            "learned", "test error of resnet-20 A: it has learned something", .below(0.3),
            isCondition: true),
        Criterion(
            "responses", "mean deviation of layer responses: resnet-20's over plain-20's",
            .below(1)),
        Criterion(
            "options", "test error with shortcuts that all project (C) minus with none (A)",
            .between(-0.02, 0.02)),
    ]

    private let blocks = [1, 2, 4, 8, 16]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let copySteps = min(max(Int(lab.seconds), 20), 600)
        let errors = try [false, true].map { shortcuts in
            try blocks.map { try lab.copyError(blocks: $0, shortcuts: shortcuts, steps: copySteps) }
        }
        findings.measured["identity"] = errors[0][4] - errors[1][4]
        findings.figures.append(
            .lines(
                LineChart(
                    "Learning to copy", x: Axis("blocks between input and output"),
                    y: .percent("error", includesZero: true),
                    series: zip(["without shortcuts", "with shortcuts"], errors).enumerated().map {
                        color, entry in
                        LineChart.Series(
                            entry.0,
                            zip(blocks, entry.1).map {
                                LineChart.Point(Double($0), $1 / .exact(0.01))
                            }, color: color, dash: color)
                    })))
        let data = try lab.data()
        let networks = try [
            ("plain-20", data.network("plain20-cifar")),
            ("resnet-20 A", lab.residual(data.network("resnet20-cifar"))),
            ("resnet-20 B", lab.residual(data.network("resnet20-b-cifar"))),
            ("resnet-20 C", lab.residual(data.network("resnet20-c-cifar"))),
        ]
        let paths =
            ["bn1"]
            + (1...3).flatMap { stage in
                (0..<3).flatMap { block in (1...2).map { "layer\(stage).\(block).bn\($0)" } }
            }
        let images = try data.batch(data.test, count: 64)
        let trained = try lab.train(
            networks.map { TrainingJob($0, $1) }, share: 0.9, inspection: "layer responses"
        ) { moment in
            guard moment.isLast else { return [:] }
            let features = try Features(
                moment.job.network, paths, batch: images.labels.count,
                parameters: moment.parameters, configuration: lab.configuration)
            let responses = features(images.images)
            return ["deviations": paths.map { responses[$0]?.deviation ?? .nan }]
        }
        func mean(_ job: TrainedJob) -> Estimate {
            job.estimate { result in
                let deviations = result.extras["deviations"] ?? []
                return deviations.reduce(0, +) / Double(deviations.count)
            }
        }
        findings.measured["learned"] = trained[1].testError
        findings.measured["responses"] = mean(trained[1]) / mean(trained[0])
        findings.measured["options"] = trained[3].testError - trained[1].testError
        findings.figures.append(
            .lines(
                LineChart(
                    "Responses by layer, behind batch normalization",
                    x: Axis("layer"), y: Axis("standard deviation", includesZero: true),
                    series: trained.prefix(2).enumerated().map { color, job in
                        LineChart.Series(
                            job.job.label,
                            paths.indices.map { layer in
                                LineChart.Point(
                                    Double(layer + 1),
                                    job.estimate { $0.extras["deviations"]?[layer] ?? .nan })
                            }, color: color, dash: color)
                    })))
        findings.figures.append(
            .bars(
                BarChart(
                    "Kinds of shortcuts", y: .percent("test error"),
                    groups: trained.map(\.job.label),
                    series: [
                        BarChart.Series(
                            "test error", trained.map { .init($0.testError / .exact(0.01)) })
                    ])))
        findings.figures.append(
            .networks(NetworkStrips("The networks", networks.prefix(2).map(\.1))))
        // Table 3 of the paper: ResNet-34 on ImageNet, top-1 error by ten crops; plain-34 28.54.
        findings.comparison = DataTable(
            [
                "network", "test error here, %", "mean response here",
                "paper, 34 layers on ImageNet, top-1 error, %",
            ],
            zip(trained, ["28.54", "25.03", "", ""]).map { job, published in
                [
                    job.job.label, TrainedJob.percent(job.testError),
                    NumberText.short(mean(job).mean), published,
                ]
            })
        findings.setup = [
            "Copying: which of ten random numbers is the largest, through blocks of two 1x1 "
                + "convolutions with a rectifier between; AdamW, \(copySteps) steps of 64.",
            "Images: SGD with momentum 0.9, batch 64, learning rate 0.1 falling as a cosine. "
                + "Responses are those to 64 test images in the trained network.",
            "A pads with zero channels, B projects where the size changes, C projects everywhere.",
        ]
        return findings
    }
}
