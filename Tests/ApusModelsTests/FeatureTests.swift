import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct FeatureTests {
    @Test(arguments: [
        ("resnet50", ["layer1", "layer2", "layer3", "layer4"], [256, 512, 1024, 2048]),
        ("plain34", ["layer1", "layer2", "layer3", "layer4"], [64, 128, 256, 512]),
        (
            "densenet121",
            [
                "features.denseblock1", "features.denseblock2", "features.denseblock3",
                "features.denseblock4",
            ], [256, 512, 1024, 1024]
        ),
        (
            "efficientnet-b0", ["features.2", "features.3", "features.5", "features.7"],
            [24, 40, 112, 320]
        ),
        (
            "efficientnet-lite0", ["features.2", "features.3", "features.5", "features.7"],
            [24, 40, 112, 320]
        ),
    ])
    func thePyramidHasStrides4To32(name: String, paths: [String], channels: [Int]) throws {
        let network = try Models.named(name)
        #expect(try network.pyramid() == paths)
        let graph = try network.features(at: paths, batch: 2)
        #expect(Set(graph.outputs.keys) == Set(paths))
        for (index, path) in paths.enumerated() {
            let side = 56 >> index
            let value = try #require(graph.outputs[path])
            #expect(graph.shape(value) == [2, channels[index], side, side])
        }
    }

    @Test func smallNetworksHaveTheStagesTheyHave() throws {
        #expect(try Models.named("resnet20-cifar").pyramid() == ["layer1", "layer2", "layer3"])
        #expect(
            try Models.named("densenet40-cifar").pyramid()
                == ["features.denseblock1", "features.denseblock2", "features.denseblock3"])
        let plain = Network("n", input: [1, 8, 8]) { Convolution("c", 4, kernel: 3) }
        #expect(throws: GraphError.self) { try plain.pyramid() }
    }

    @Test func anyLayerCanBeAskedFor() throws {
        let network = try Models.named("resnet18")
        let graph = try network.features(at: ["layer1.0.conv2", "layer1.0", "bn1", "logits"])
        func producer(_ path: String) throws -> Op {
            let value = try #require(graph.outputs[path])
            return try #require(graph.nodes.first { $0.outputs.contains(value) }).op
        }
        // A block's value is what leaves it, behind the sum and the rectifier.
        #expect(try producer("layer1.0") == .activation(.relu))
        if case .convolution = try producer("layer1.0.conv2") {} else { Issue.record("no conv") }
        if case .normalize = try producer("bn1") {} else { Issue.record("no batch norm") }
        let error = #expect(throws: GraphError.self) { try network.features(at: ["layer9"]) }
        #expect(error?.description.contains("layer layer9: is not in resnet18") == true)
    }

    @Test(arguments: Models.names) func partsHoldEveryParameterOnce(name: String) throws {
        let network = try Models.named(name)
        let parts = try network.parts()
        let all = try network.graph(batch: 1, mode: .inference).parameters.map(\.name)
        #expect(parts.flatMap(\.self) == all)
        #expect(parts.count == network.stages.count + 2)
        #expect(parts.allSatisfy { !$0.isEmpty })
        #expect(parts.last?.count == 2)
        // A convolution and its batch norm; in a CIFAR DenseNet that stands in the first layer.
        let isBare = parts[0] == ["features.conv0.weight"]
        #expect(isBare == (name.hasPrefix("densenet") && name.firstMatch(of: /40|100|190/) != nil))
        #expect(parts[0].count == (isBare ? 1 : 3))
    }

    @Test func frozenParametersGetNoGradients() throws {
        let network = try Models.named("resnet20-cifar")
        let parts = try network.parts()
        let frozen = Set(parts.dropLast().flatMap(\.self))
        let graph = try network.lossGraph(batch: 2, frozen: frozen)
        #expect(graph.updates.isEmpty)
        #expect(!graph.nodes.contains { if case .batchNorm = $0.op { true } else { false } })
        let step = try graph.differentiated()
        #expect(Set(step.gradients.keys) == Set(parts.last ?? []))
        // With only the stem frozen the rest learns, and its own statistics move.
        let stem = try network.lossGraph(batch: 2, frozen: Set(parts[0])).differentiated()
        #expect(stem.gradients.count == step.parameters.count - parts[0].count)
        #expect(stem.updates.count == 2 * 18 && stem.updates["bn1.running_mean"] == nil)
        let all = try network.lossGraph(batch: 2, frozen: Set(parts.flatMap(\.self)))
        #expect(throws: GraphError.self) { try all.differentiated() }
    }
}
