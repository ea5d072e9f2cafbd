import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct ModelTests {
    @Test func theSmallestOfThePaperHasItsExactParameters() throws {
        for name in ["resnet20-cifar", "plain20-cifar"] {
            let graph = try Models.named(name).graph(batch: 1, mode: .inference)
            #expect(Statistics(graph).parameters == 269_722)
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
