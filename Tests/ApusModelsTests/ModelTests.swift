import ApusGraph
import ApusModels
import ApusTensor
import Testing

/// `value` rounded to `places` decimals, as papers print it.
private func rounded(_ value: Double, _ places: Int = 2) -> Double {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    return (value * scale).rounded() / scale
}

@Suite struct ModelTests {
    struct Cost: Sendable {
        var name: String
        /// Millions.
        var parameters: Double
        /// Thousands of millions, of convolutions and matrix products at 224 pixels.
        var multiplyAdds: Double
        /// The figure commonly quoted, which also counts two operations a normalized value.
        var quoted: Double
    }

    static let published = [
        Cost(name: "resnet18", parameters: 11.69, multiplyAdds: 1.81, quoted: 1.82),
        Cost(name: "resnet34", parameters: 21.80, multiplyAdds: 3.66, quoted: 3.67),
        Cost(name: "resnet50", parameters: 25.56, multiplyAdds: 4.09, quoted: 4.11),
        Cost(name: "resnet101", parameters: 44.55, multiplyAdds: 7.80, quoted: 7.83),
        Cost(name: "resnet152", parameters: 60.19, multiplyAdds: 11.51, quoted: 11.56),
        Cost(name: "densenet121", parameters: 7.98, multiplyAdds: 2.83, quoted: 2.87),
        Cost(name: "densenet169", parameters: 14.15, multiplyAdds: 3.36, quoted: 3.40),
        Cost(name: "densenet201", parameters: 20.01, multiplyAdds: 4.29, quoted: 4.34),
        Cost(name: "densenet161", parameters: 28.68, multiplyAdds: 7.73, quoted: 7.79),
    ]

    @Test(arguments: published) func costsAgreeWithThePublishedOnes(cost: Cost) throws {
        let graph = try Models.named(cost.name).graph(batch: 1, mode: .inference)
        let statistics = Statistics(graph)
        #expect(rounded(Double(statistics.parameters) / 1e6) == cost.parameters)
        #expect(rounded(Double(statistics.multiplyAdds) / 1e9) == cost.multiplyAdds)
        let normalized = statistics.rows.filter { $0.operation == "normalize" }
            .map(\.output.count).reduce(0, +)
        let quoted = Double(statistics.multiplyAdds + 2 * normalized) / 1e9
        #expect(rounded(quoted) == cost.quoted)
    }

    /// Section 4.2 and table 6 of He et al. 2015: depth 6n + 2.
    @Test(arguments: [(20, 0.27, 2), (32, 0.46, 2), (44, 0.66, 2), (56, 0.85, 2), (110, 1.7, 1)])
    func smallFamilyHasThePapersParameters(depth: Int, millions: Double, places: Int) throws {
        for name in ["resnet\(depth)-cifar", "plain\(depth)-cifar"] {
            let graph = try Models.named(name).graph(batch: 1, mode: .inference)
            let parameters = Statistics(graph).parameters
            #expect(rounded(Double(parameters) / 1e6, places) == millions)
            if depth == 20 { #expect(parameters == 269_722) }
        }
    }

    @Test(arguments: [20, 56, 110]) func depthCountsWeightedLayers(depth: Int) throws {
        let graph = try Models.named("resnet\(depth)-cifar").graph(batch: 1, mode: .inference)
        #expect(graph.parameters.filter { $0.role == .weight }.count == depth)
        // Projections instead of padding: two more convolutions.
        let optionB = try Models.named("resnet\(depth)-b-cifar").graph(batch: 1, mode: .inference)
        #expect(optionB.parameters.filter { $0.role == .weight }.count == depth + 2)
    }

    @Test(arguments: Models.names) func everyNameBuildsInBothModes(name: String) throws {
        let network = try Models.named(name)
        #expect(network.name == name)
        for mode in [GraphBuilder.Mode.training, .inference] {
            let graph = try network.graph(batch: 2, mode: mode)
            try graph.verify()
            let logits = try #require(graph.outputs["logits"])
            #expect(graph.shape(logits) == [2, name.hasSuffix("-cifar") ? 10 : 1000])
        }
        let training = try network.lossGraph(batch: 2).differentiated()
        try training.verify()
        #expect(training.gradients.count == training.parameters.count)
    }

    @Test func namesAreDistinct() { #expect(Set(Models.names).count == Models.names.count) }

    @Test(arguments: [
        "resnet18", "resnet20-cifar", "plain34", "plain20-cifar", "resnet50-cifar", "densenet121",
        "densenet-bc40-k8-cifar", "efficientnet-b1", "efficientnet-lite0", "efficientnet-b0-cifar",
    ])
    func inputAndClassesCanBeChosen(name: String) throws {
        let network = try Models.named(name, input: [1, 64, 48], classes: 7)
        let graph = try network.graph(batch: 3, mode: .inference)
        let logits = try #require(graph.outputs["logits"])
        #expect(graph.shape(logits) == [3, 7])
    }

    @Test(arguments: [
        ("resnet19", "resnet18"), ("ResNet50", "resnet50"), ("resnet-50", "resnet50"),
        ("resnet20cifar", "resnet20-cifar"), ("plain18s", "plain18"),
        ("plain21-cifar", "plain20-cifar"), ("resnet33-b-cifar", "resnet32-b-cifar"),
        ("resnet152d", "resnet152"), ("densenet120", "densenet121"),
        ("densenet-bc101-cifar", "densenet-bc100-cifar"), ("efficientnet_b8", "efficientnet-b0"),
        ("efficientnetb3", "efficientnet-b3"), ("efficientnet-light4", "efficientnet-lite4"),
    ])
    func unknownNamesSuggestTheNearest(name: String, nearest: String) throws {
        let error = try #require(throws: Models.UnknownModel.self) { try Models.named(name) }
        #expect(error.name == name)
        #expect(error.suggestion == nearest)
        #expect(error.description.contains("unknown model '\(name)'; did you mean '\(nearest)'"))
    }

    @Test(arguments: [
        "", "resnet", "resnet-1", "resnet2-cifar", "plain-cifar", "resnet20-b", "x", "densenet",
        "densenet40", "densenet41-cifar", "densenet-bc100", "densenet-bc101-cifar",
        "densenet-bc-cifar", "densenet40-k-cifar", "densenet40-k0-cifar",
        "densenet40-k12-k12-cifar",
        "densenet1000-cifar", "densenet121-k12", "efficientnet-b", "efficientnet-cifar",
    ])
    func nearMissesAreUnknown(name: String) {
        #expect(throws: Models.UnknownModel.self) { try Models.named(name) }
    }

    @Test func plainNetworksAreResidualOnesWithoutShortcuts() throws {
        for (plain, residual) in [
            ("plain20-cifar", "resnet20-cifar"), ("plain34", "resnet34"),
        ] {
            let a = try Models.named(plain).graph(batch: 1, mode: .inference)
            let b = try Models.named(residual).graph(batch: 1, mode: .inference)
            #expect(!a.nodes.contains { $0.op == .add })
            #expect(b.nodes.contains { $0.op == .add })
            let shared = b.parameters.filter { !$0.name.contains("downsample") }
            #expect(a.parameters.map(\.name) == shared.map(\.name))
            #expect(a.parameters.map(\.shape) == shared.map(\.shape))
        }
    }
}
