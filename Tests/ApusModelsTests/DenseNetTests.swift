import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct DenseNetTests {
    @Test(arguments: [
        ("densenet40-cifar", 40), ("densenet-bc40-cifar", 40), ("densenet121", 121),
        ("densenet161", 161), ("densenet169", 169), ("densenet201", 201),
    ])
    func depthCountsWeightedLayers(name: String, depth: Int) throws {
        let graph = try Models.named(name).graph(batch: 1, mode: .inference)
        #expect(graph.parameters.filter { $0.role == .weight }.count == depth)
    }

    @Test(arguments: [("densenet121", 224), ("densenet121-cifar", 32)])
    func blocksJoinEverythingBefore(name: String, side: Int) throws {
        let graph = try Models.named(name).graph(batch: 1, mode: .inference)
        let joined = graph.nodes.filter { $0.op == .concatenate }
        #expect(joined.count == 6 + 12 + 24 + 16)
        let ends = [5, 17, 41, 57].map { graph.shape(joined[$0].outputs[0]) }
        let sides = side == 224 ? [56, 28, 14, 7] : [32, 16, 8, 4]
        let channels = [256, 512, 1024, 1024]
        #expect(ends == zip(channels, sides).map { [1, $0, $1, $1] })
    }

    @Test func growthRateCanBeWrittenOut() throws {
        let short = try Models.named("densenet40-cifar")
        let long = try Models.named("densenet40-k12-cifar")
        #expect(short.layers == long.layers)
        // 121 layers of the CIFAR family, not the published network with a small stem.
        let family = try Models.named("densenet121-k12-cifar")
        #expect(family.layers != (try Models.named("densenet121-cifar")).layers)
    }

    @Test func dropoutFollowsEveryLayer() throws {
        let rules = DenseNet.Rules(bottleneck: false, compression: 1, dropRate: 0.2)
        let stages = DenseNet.cifarStages(depth: 10, growth: 4, bottleneck: false)
        let network = DenseNet.cifar("n", stages: stages, rules: rules)
        let dropouts = try network.graph(batch: 1, mode: .training).nodes.filter {
            if case .dropout = $0.op { true } else { false }
        }
        #expect(dropouts.map(\.path).count == 6)
        #expect(Set(dropouts.map(\.op)).count == 6)
        let without = try network.withoutDropout().graph(batch: 1, mode: .training)
        #expect(!without.nodes.contains { if case .dropout = $0.op { true } else { false } })
    }
}
