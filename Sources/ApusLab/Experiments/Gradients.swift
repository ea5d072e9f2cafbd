import ApusGraph
import ApusReport

/// Gradients vanish or explode with depth unless weights begin at the right size or something keeps
/// the signal alive.
struct Gradients: Experiment {
    let name = "gradients"
    let title = "Gradients that vanish and explode"
    let claim = """
        With weights that begin too small, gradients vanish as plain networks get deeper, and with \
        large ones they explode; a sigmoid lets them vanish on the way back. Weights of He's size keep \
        them through rectifiers, and batch normalization with shortcuts keeps them whatever the size. \
        Where gradients vanish, nothing is learned.
        """
    let paper = """
        Glorot and Bengio 2010, He, Zhang, Ren and Sun 2015 (initialization), and Ioffe and Szegedy \
        2015
        """
    let minutes = 6.0
    let criteria = [
        Criterion(
            "small",
            "weights of deviation 0.01: powers of ten the first layer's gradient gains from "
                + "8 to 44 layers", .below(-6)),
        Criterion("large", "the same for weights of deviation 0.3", .above(6)),
        Criterion("he", "the same for He's initialization", .between(-1.5, 1.5)),
        Criterion(
            "sigmoid", "44 layers of sigmoids: powers of ten from the last to the first layer",
            .below(-6)),
        Criterion(
            "kept",
            "deviation 0.01 with batch norm and shortcuts: powers of ten from 8 to 44 layers",
            .between(-1.5, 1.5)),
        Criterion(
            "learned", "training error of 20 layers with batch norm and shortcuts", .below(0.5),
            isCondition: true),
        Criterion(
            "learning", "training error, 20 layers: deviation 0.01 minus He's", .above(0.2)),
    ]

    private let depths = [8, 20, 44]
    private let small = Initializer.normal(deviation: 0.01)
    private let large = Initializer.normal(deviation: 0.3)

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let data = try lab.data()
        func norms(_ chain: Chain) throws -> [[Double]] {
            try lab.firstGradients(chain.network(input: data.input, classes: data.classes))
        }
        func series(_ name: String, _ norms: [[Double]], _ color: Int) -> LineChart.Series {
            .byLayer(name, norms, color)
        }
        func first(_ norms: [[Double]]) -> Estimate { Estimate(norms.map { power($0[0]) }) }
        func chart(_ title: String, _ series: [LineChart.Series]) -> LineChart {
            LineChart(
                title, x: Axis("layer"), y: Axis("norm of the gradient", isLogarithmic: true),
                series: series)
        }

        let kinds: [(String, (Int) -> Chain, String?)] = [
            ("deviation 0.01", { Chain(depth: $0, initializer: small) }, "small"),
            ("deviation 0.3", { Chain(depth: $0, initializer: large) }, "large"),
            ("Xavier", { Chain(depth: $0, initializer: .xavierNormal) }, nil),
            ("He", { Chain(depth: $0) }, "he"),
            ("0.01, batch norm", { Chain(depth: $0, initializer: small, normalizes: true) }, nil),
            (
                "0.01, batch norm, shortcuts",
                { Chain(depth: $0, initializer: small, normalizes: true, hasShortcuts: true) },
                "kept"
            ),
        ]
        var charts: [LineChart] = []
        for (title, chain, key) in kinds {
            let measured = try depths.map { try norms(chain($0)) }
            charts.append(
                chart(
                    title,
                    zip(depths, measured).enumerated().map {
                        series("\($1.0) layers", $1.1, $0)
                    }))
            if let key { findings.measured[key] = first(measured[2]) - first(measured[0]) }
        }
        findings.figures.append(
            .multiples(title: "First gradients by layer, rectifiers", charts: charts))

        let activations: [ActivationFunction] = [.relu, .tanh, .sigmoid, .silu, .gelu]
        let byActivation = try activations.map {
            try norms(Chain(depth: 44, activation: $0, initializer: .xavierNormal))
        }
        findings.figures.append(
            .lines(
                chart(
                    "First gradients by layer, 44 layers, Xavier's initialization",
                    zip(activations, byActivation).enumerated().map {
                        series("\($1.0)", $1.1, $0)
                    })))
        findings.measured["sigmoid"] = Estimate(
            byActivation[2].map { power($0[0]) - power($0[$0.count - 1]) })

        let learners: [(String, Chain)] = [
            ("deviation 0.01", Chain(depth: 20, initializer: small)), ("He", Chain(depth: 20)),
            ("He, batch norm", Chain(depth: 20, normalizes: true)),
            ("He, both", Chain(depth: 20, normalizes: true, hasShortcuts: true)),
        ]
        let trained = try lab.train(
            learners.map { name, chain in
                TrainingJob(
                    name, chain.network(input: data.input, classes: data.classes),
                    learningRate: 0.02)
            }, share: 0.8, inspection: "gradient norms"
        ) { moment in
            ["step \(moment.step)": moment.parameters.convolutionGradientNorms()]
        }
        findings.measured["learned"] = trained[3].trainError
        findings.measured["learning"] = trained[0].trainError - trained[1].trainError
        findings.figures.append(
            .lines(
                LineChart(
                    "Learning with 20 layers", x: Axis("thousand images seen"),
                    y: .percent("training error", includesZero: true),
                    series: trained.enumerated().map { index, job in
                        job.series(color: index, dash: index, \.trainError)
                    })))
        findings.figures.append(
            .multiples(
                title: "Gradients by layer while 20 layers learn (first seed)",
                charts: trained.map { job in
                    let result = job.results[0]
                    let steps = [0] + result.points.map(\.step)
                    let shown = Set([0, steps.count / 2, steps.count - 1]).sorted()
                    return chart(
                        job.job.label,
                        shown.enumerated().map { color, index in
                            series(
                                "step \(steps[index])",
                                [result.extras["step \(steps[index])"] ?? []], color)
                        })
                }))
        findings.comparison = Chain.besideTheory(findings.measured)
        findings.setup = [
            "Chains of 3x3 convolutions with 16 channels on images of half size; first gradients are of "
                + "64 images. A gradient of zero counts as 1e-40.",
            "Learning: SGD with momentum 0.9, batch 64, learning rate 0.02.",
        ]
        return findings
    }
}
