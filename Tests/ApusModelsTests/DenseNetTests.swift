import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct DenseNetTests {
    /// Table 2 of Huang et al. 2017, millions of parameters.
    @Test(arguments: [
        ("densenet40-cifar", 1.0), ("densenet100-cifar", 7.0), ("densenet100-k24-cifar", 27.2),
        ("densenet-bc100-cifar", 0.8), ("densenet-bc250-k24-cifar", 15.3),
        ("densenet-bc190-k40-cifar", 25.6),
    ])
    func smallFamilyHasThePapersParameters(name: String, millions: Double) throws {
        let network = try Models.named(name)
        #expect(network.name == name)
        let graph = try network.graph(batch: 1, mode: .inference)
        let parameters = Statistics(graph).parameters
        #expect((Double(parameters) / 1e5).rounded() / 10 == millions)
    }

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
        let rules = DenseNet.Rules(growth: 4, bottleneck: false, compression: 1, dropRate: 0.2)
        let network = DenseNet.cifar("n", depth: 10, rules: rules)
        let dropouts = try network.graph(batch: 1, mode: .training).nodes.filter {
            if case .dropout = $0.op { true } else { false }
        }
        #expect(dropouts.map(\.path).count == 6)
        #expect(Set(dropouts.map(\.op)).count == 6)
        let without = try network.withoutDropout().graph(batch: 1, mode: .training)
        #expect(!without.nodes.contains { if case .dropout = $0.op { true } else { false } })
    }
}
