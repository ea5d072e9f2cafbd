import ApusData
import ApusGraph
import ApusModels
import ApusReport
import ApusRuntime
import ApusTensor

/// What layers do to a picture, and what training does to filters: noise becomes smooth structure.
struct Layers: Experiment {
    let name = "layers"
    let title = "What layers do to a picture"
    let claim = """
        A filter answers where the picture looks like it; a rectifier keeps one sign of the answer; \
        pooling makes it depend less on the exact place. Training turns the noise that first-layer \
        filters begin with into smooth patterns.
        """
    let paper = "Zeiler and Fergus 2013, and Krizhevsky, Sutskever and Hinton 2012, figure 3"
    let minutes = 3.0
    let criteria = [
        Criterion(
            "kept", "share of the edge filter's answers that a rectifier keeps",
            .between(0.25, 0.75)),
        Criterion(
            "pooled", "change by a shift of one pixel: of 4x4 max-pooled answers against answers",
            .below(0.9)),
        Criterion(
            "smooth",
            "correlation of neighbouring weights of first-layer filters, after training minus before",
            .above(0.05)),
    ]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let photo = try photo(lab)
        let side = photo.shape[2]
        func filtered(_ image: Tensor, _ layers: [Layer] = []) throws -> Tensor {
            try HandMadeFilters.applied(to: image, then: layers, lab)
        }
        func tile(_ maps: Tensor, _ channel: Int, _ caption: String) throws -> ImageSheet.Tile {
            try ImageSheet.Tile(
                .gray(maps.plane(0, channel), width: maps.shape[3], height: maps.shape[2]),
                caption)
        }
        let answers = try filtered(photo)
        findings.figures.append(
            .images(
                ImageSheet(
                    "Filters",
                    try [tile(photo, 0, "the picture")]
                        + HandMadeFilters.all.enumerated().map { try tile(answers, $0, $1.name) },
                    side: 140)))
        let edges = 2
        findings.figures.append(
            .images(
                ImageSheet(
                    "Activations of the upright edges",
                    try ActivationFunction.all.map { function in
                        let maps = try filtered(photo, [Activation(function).layer])
                        return try tile(maps, edges, "\(function)")
                    }, side: 140)))
        let pools: [(String, Layer)] = [
            ("max pool 2x2", MaxPool(kernel: 2).layer), ("max pool 4x4", MaxPool(kernel: 4).layer),
            ("average pool 2x2", AveragePool(kernel: 2).layer),
            ("average pool 4x4", AveragePool(kernel: 4).layer),
        ]
        let rectified = Activation(.relu).layer
        findings.figures.append(
            .images(
                ImageSheet(
                    "Pooling of the rectified edges",
                    try pools.map { try tile(filtered(photo, [rectified, $1]), edges, $0) },
                    side: 140)))

        let values = answers.plane(0, edges)
        findings.measured["kept"] = .exact(
            Double(values.count { $0 > 0 }) / Double(values.count))
        let moved = Tensor(
            photo.shape,
            photo.elements.indices.map { photo.elements[$0 % side == 0 ? $0 : $0 - 1] })
        func change(_ layers: [Layer]) throws -> Double {
            let before = try filtered(photo, layers).plane(0, edges)
            let after = try filtered(moved, layers).plane(0, edges)
            let difference = Tensor([before.count], zip(after, before).map { $0 - $1 })
            return difference.norm / max(Tensor([before.count], before).norm, 1e-30)
        }
        let (raw, pooled) = try (change([rectified]), change([rectified, pools[1].1]))
        findings.measured["pooled"] = .exact(pooled / max(raw, 1e-30))
        findings.remarks.append(
            "A shift of the picture by one pixel changes the rectified edges by "
                + "\(NumberText.short(100 * raw)) % and their 4x4 maxima by "
                + "\(NumberText.short(100 * pooled)) %.")
        try learnedFilters(lab, NumberText.short(100 * pooled / max(raw, 1e-30)), &findings)
        findings.setup = [
            lab.options.photo.map { "The picture is \($0)." }
                ?? "The picture is Chelsea the cat, by Stéfan van der Walt (CC0); --photo FILE takes yours."
        ]
        return findings
    }

    /// Of 16, how much smoother they become differs twofold between seeds.
    private let filters = 64

    /// First-layer filters before and after training on the data.
    private func learnedFilters(
        _ lab: LabContext, _ change: String, _ findings: inout Findings
    ) throws {
        let data = try lab.data()
        let network = Network("small", input: data.input) {
            Convolution("first", filters, kernel: 7)
            BatchNorm("norm")
            Activation(.relu)
            MaxPool(kernel: 4)
            Flatten()
            Dense("classes", data.classes)
        }
        let trained = try lab.train([TrainingJob("small", network)], inspection: "first filters") {
            let weights = $0.parameters.tensor("first.weight")?.elements ?? []
            return [$0.isLast ? "after" : "during": weights.map(Double.init)]
        }[0]
        let graph = try network.graph(batch: 1, mode: .inference)
        let before = lab.seeds.compactMap {
            ParameterStore(graph, seed: $0).tensor("first.weight")
        }
        let after = zip(trained.results, before).map { result, before in
            Tensor(before.shape, (result.extras["after"] ?? []).map(Float.init))
        }
        let correlations = [before, after].map { Estimate($0.map(\.neighbourCorrelation)) }
        findings.measured["smooth"] = correlations[1] - correlations[0]
        findings.comparison = DataTable(
            ["", "here", "Krizhevsky and others 2012"],
            [
                ["first-layer filters", "\(filters) of 7x7", "96 of 11x11, in color (figure 3)"],
                ["correlation before", LabPage.interval(correlations[0]), "no figure"],
                ["and after", LabPage.interval(correlations[1]), "waves, blobs"],
                ["pooling", "4x4: \(change) % of the change", "3x3, not 2x2: 0.4 points better"],
            ])
        for (title, weights) in [("before", before[0]), ("after", after[0])] {
            findings.figures.append(
                .images(
                    ImageSheet(
                        "Sixteen first-layer filters \(title) training",
                        try (0..<16).map {
                            try ImageSheet.Tile(
                                .gray(weights.plane($0, 0), width: 7, height: 7, symmetric: true),
                                "filter \($0 + 1)")
                        }, side: 56)))
        }
        findings.figures.append(.networks(NetworkStrips("The network that learns", [network])))
    }
}
