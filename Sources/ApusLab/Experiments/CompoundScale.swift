import ApusGraph
import ApusModels
import ApusReport
import ApusTraining

/// Growing depth, width and resolution together gives more than growing one of them as much.
struct CompoundScale: Experiment {
    let name = "compound-scaling"
    let title = "Growing in all directions at once"
    let claim = """
        A network that is made deeper, wider and finer at once is better than one that grows as much in \
        a single direction, at equal multiply-adds and at equal measured time of a training step on \
        this machine.
        """
    let paper = "Tan and Le 2019, table 7"
    let minutes = 25.0
    let criteria = [
        Criterion(
            "learned", "test error of the base network: it has learned something", .below(0.4),
            isCondition: true),
        Criterion(
            "counted", "equal multiply-adds: mean accuracy of single directions minus compound's",
            .below(0)),
        Criterion(
            "best", "equal multiply-adds: accuracy of the best direction minus compound's",
            .below(0.01)),
        Criterion(
            "timed", "equal time: mean accuracy of single directions minus compound's", .below(0)),
    ]

    /// The base is narrow and sees images of half size, so that it soon is as good as it gets and what
    /// is larger has something to add.
    private let factor = 8.0
    /// At 0.05 deep networks learn less in so few steps, and seeds differ by points.
    private let learningRate: Float = 0.02

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let data = try lab.data()
        var base = try Models.scalable("resnet14-cifar").scaled(ScaleFactors(width: 0.5))
        base.name = "narrow-resnet14-cifar"
        base.divisor = 4
        base.input = [data.input[0], max(8, data.input[1] / 2), max(8, data.input[2] / 2)]
        base.classes = data.classes
        let searched = try lab.searchedScaling(
            base, data, learningRate: learningRate, seconds: 0.15 * lab.seconds)
        let found = searched.first?.scaling ?? .published
        let ways: [(name: String, scaling: CompoundScaling)] = [
            ("depth", .depthOnly), ("width", .widthOnly), ("resolution", .resolutionOnly),
            ("compound", found),
        ]
        let counted = try lab.scaled(base, ways, cost: .multiplyAdds, factor: factor).ways
        let timed = try lab.scaled(base, ways, cost: .stepTime, factor: factor).ways
        let networks =
            [("base", base.network())]
            + counted.map { ("\($0.name), counted", $0.network) }
            + timed.map { ("\($0.name), timed", $0.network) }
        let trained = try lab.train(
            networks.map { label, network in
                var job = TrainingJob(label, network, learningRate: learningRate)
                job.warmup = 0.1
                return job
            }, share: 0.85)
        let accuracies = trained.map { .exact(1) - $0.testError }
        func compare(_ first: Int) -> (mean: Estimate, best: Estimate) {
            let single = accuracies[first..<first + 3]
            func joined(_ join: ([Double]) -> Double) -> Estimate {
                let seeds = single[first].values.indices
                return Estimate(
                    seeds.map { seed in join(single.map { $0.values[seed] }) },
                    resolution: single[first].resolution)
            }
            let compound = accuracies[first + 3]
            return (
                joined { $0.reduce(0, +) / 3 } - compound, joined { $0.max() ?? .nan } - compound
            )
        }
        findings.measured["learned"] = trained[0].testError
        findings.measured["counted"] = compare(1).mean
        findings.measured["best"] = compare(1).best
        findings.measured["timed"] = compare(5).mean

        let groups = ["base"] + ways.map(\.name)
        findings.figures.append(
            .bars(
                BarChart(
                    "Accuracy of networks \(NumberText.short(factor)) times the base",
                    y: .percent("test accuracy"), groups: groups,
                    series: [("equal multiply-adds", 1), ("equal time", 5)].map { name, first in
                        BarChart.Series(
                            name,
                            ([accuracies[0]] + accuracies[first..<first + 4]).map {
                                .init($0 / .exact(0.01))
                            })
                    },
                    showsDots: true)))
        findings.figures.append(
            .lines(
                LineChart(
                    "Learning at equal multiply-adds", x: Axis("thousand images seen"),
                    y: .percent("test error"),
                    series: trained.prefix(5).enumerated().map { color, job in
                        job.series(color: color, dash: color, \.testError)
                    })))
        findings.figures.append(
            .bars(
                BarChart(
                    "The search at twice the base's multiply-adds, by rounds (1), (2), (3)",
                    y: .percent("accuracy"),
                    groups: searched.map { "\(Self.words($0.scaling)) (\($0.round + 1))" },
                    series: [.init("accuracy", searched.map { .init(100 * $0.score) })],
                    showsDots: true)))
        findings.figures.append(
            .networks(NetworkStrips("At equal multiply-adds", networks.prefix(5).map(\.1))))
        // Table 7: B0 scaled to 1.8 G multiply-adds; top-1 accuracy on ImageNet.
        let published = ["77.3", "79.0", "78.9", "79.1", "81.1"]
        findings.comparison = DataTable(
            [
                "way", "factors (depth, width, resolution)", "cost over the base's",
                "test accuracy here, %", "paper, B0 at 1.8 G, ImageNet top-1, %",
            ],
            trained.indices.map { index in
                let way = index == 0 ? nil : (counted + timed)[index - 1]
                return [
                    trained[index].job.label, way.map { Self.words($0.scaling) } ?? "1, 1, 1",
                    NumberText.short(way?.cost ?? 1), TrainedJob.percent(accuracies[index]),
                    index < 5 ? published[index] : "",
                ]
            })
        findings.setup = [
            "The base is ResNet-14 of half the width on images of "
                + "\(base.input[1])x\(base.input[2]) pixels. Alpha, beta and gamma found: "
                + "\(Self.words(found)), by up to three rounds of trainings: the best third of one is "
                + "trained three times as long in the next.",
            "SGD with momentum 0.9, batch 64, learning rate \(learningRate) that rises "
                + "over a tenth of the steps and falls as a cosine; all networks take "
                + "equally many steps.",
            "Blocks and channels are whole numbers, so no network costs exactly as much as another.",
        ]
        return findings
    }

    /// Depth, width and resolution as multiples.
    private static func words(_ scaling: CompoundScaling) -> String {
        let factors = scaling.factors
        return [factors.depth, factors.width, factors.resolution]
            .map { NumberText.short($0) }.joined(separator: ", ")
    }
}
