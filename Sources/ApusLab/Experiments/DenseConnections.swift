import ApusCompiler
import ApusGraph
import ApusReport
import ApusRuntime

/// Dense connections reach the accuracy of a residual network with fewer parameters, by using features
/// of all layers before.
struct DenseConnections: Experiment {
    let name = "densenet"
    let title = "Dense connections reuse features"
    let claim = """
        A densely connected network with bottlenecks and compression is as accurate as a residual one \
        with half again as many parameters. Its layers go on reading features of layers far before \
        them. Its memory is small only if joined features are computed again instead of kept.
        """
    let paper = "Huang, Liu, van der Maaten and Weinberger 2017, figures 4 and 5"
    let minutes = 25.0
    let criteria = [
        Criterion(
            "learned", "test error of resnet-20: it has learned something", .below(0.3),
            isCondition: true),
        Criterion(
            "accuracy", "test error of the dense network minus that of resnet-20", .below(0.01)),
        Criterion(
            "parameters", "parameters of the dense network over those of resnet-20", .below(0.75)),
        Criterion(
            "reuse", "weight the last layers of blocks give their block's input, over the mean",
            .above(0.25)),
        Criterion(
            "memory", "memory of a training step, joined features computed again over kept",
            .below(0.7)),
    ]

    private let depth = 40
    private let growth = 12
    private var layers: Int { (depth - 4) / 6 }

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let data = try lab.data()
        let networks = try [
            ("densenet-bc-22", data.network("densenet-bc22-cifar")),
            ("densenet-bc-\(depth)", data.network("densenet-bc\(depth)-cifar")),
            ("resnet-14", lab.residual(data.network("resnet14-cifar"))),
            ("resnet-20", lab.residual(data.network("resnet20-cifar"))),
            ("plain-20", data.network("plain20-cifar")),
        ]
        let costs = try networks.map { Statistics(try $1.graph(batch: 1, mode: .inference)) }
        // Channels that reach each block: twice the growth, then half of what came out of the last.
        var inputs = [2 * growth]
        for _ in 1..<3 { inputs.append((inputs[inputs.count - 1] + layers * growth) / 2) }
        let trained = try lab.train(
            networks.map { TrainingJob($0, $1) }, inspection: "weights by source"
        ) { moment in
            guard moment.isLast, moment.job.label == "densenet-bc-\(depth)" else { return [:] }
            var found: [String: [Double]] = [:]
            for block in 1...3 {
                for layer in 1...layers {
                    found["block \(block) layer \(layer)"] = FeatureReuse.weights(
                        moment.parameters, block: block, layer: layer, inputs: inputs[block - 1],
                        growth: growth)
                }
            }
            return found
        }
        let (ours, other) = (trained[1], trained[3])
        findings.measured["learned"] = other.testError
        findings.measured["accuracy"] = ours.testError - other.testError
        findings.measured["parameters"] = .exact(
            Double(costs[1].parameters) / Double(costs[3].parameters))
        findings.measured["reuse"] = ours.estimate { result in
            let shares = (1...3).map { block in
                FeatureReuse.inputShare(result.extras["block \(block) layer \(layers)"] ?? [])
            }
            return shares.reduce(0, +) / 3
        }
        for (label, value) in [
            ("thousand parameters", { (cost: Statistics) in Double(cost.parameters) / 1e3 }),
            ("million multiply-adds an image", { Double($0.multiplyAdds) / 1e6 }),
        ] {
            let families = [("dense", 0..<2), ("residual", 2..<4), ("plain", 4..<5)]
            findings.figures.append(
                .lines(
                    LineChart(
                        "Test error against \(label)", x: Axis(label), y: .percent("test error"),
                        series: families.map { name, range in
                            LineChart.Series(
                                name,
                                range.map {
                                    LineChart.Point(
                                        value(costs[$0]), trained[$0].testError / .exact(0.01))
                                })
                        })))
        }
        findings.figures += (1...3).map { block in
            FeatureReuse.figure(
                block,
                (1...layers).map { ours.results[0].extras["block \(block) layer \($0)"] ?? [] })
        }
        let memory = try [Recomputation.Policy.none, .all].map { policy in
            var options = Program.Options(block: Machine.block)
            options.recomputation = policy
            return try networks.map { _, network in
                Double(
                    try Program(
                        network.lossGraph(batch: 64), differentiate: true, options: options
                    ).peakBytes) / Double(1 << 20)
            }
        }
        findings.measured["memory"] = .exact(memory[1][1] / memory[0][1])
        findings.figures.append(
            .bars(
                BarChart(
                    "Memory of a training step, batch 64", y: Axis("MiB"),
                    groups: networks.map(\.0),
                    series: [
                        BarChart.Series("kept", memory[0].map { .init($0) }),
                        BarChart.Series("computed again", memory[1].map { .init($0) }),
                    ])))
        findings.figures.append(
            .networks(NetworkStrips("The networks", [networks[1].1, networks[3].1])))
        // CIFAR-10 with augmentation, of the papers' tables.
        let published = ["", "100 layers: 4.51 with 0.8 M", "", "8.75 with 0.27 M", ""]
        findings.comparison = DataTable(
            [
                "network", "parameters", "multiply-adds", "test error, %", "papers, CIFAR-10, %",
            ],
            trained.indices.map { index in
                [
                    trained[index].job.label, "\(costs[index].parameters)",
                    NumberText.short(Double(costs[index].multiplyAdds) / 1e6) + " M",
                    TrainedJob.percent(trained[index].testError), published[index],
                ]
            })
        findings.setup = [
            "SGD with momentum 0.9, batch 64, learning rate 0.1 falling as a cosine, no augmentation.",
            "Weights that have hardly moved from their random start are alike for all sources, so reuse "
                + "says little after a short training.",
        ]
        return findings
    }
}
