import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct EfficientNetTests {
    @Test(arguments: [
        ("lite0", 224), ("lite1", 240), ("lite2", 260), ("lite3", 280), ("lite4", 300),
    ])
    func liteNetworksAreThePublishedOnes(name: String, side: Int) throws {
        let network = try Models.named("efficientnet-\(name)")
        #expect(network.input == [3, side, side])
        let graph = try network.graph(batch: 1, mode: .inference)
        #expect(!graph.nodes.contains { $0.op == .scaleChannels })
        // Stem and head keep their size at any width.
        let weights = graph.parameters.filter { $0.role == .weight }
        #expect(weights.first?.shape == [32, 3, 3, 3])
        #expect(weights.last?.shape == [1000, 1280])
        // An even image at stride 2 is padded at the bottom and on the right alone.
        let stem = Window(
            kernel: Size(3), stride: Size(2), padding: Edges(top: 0, left: 0, bottom: 1, right: 1))
        #expect(
            graph.nodes.first { $0.path == "features.0.0" && $0.inputs.count > 1 }?.op
                == .convolution(stem, groups: 1))
    }

    @Test(arguments: [
        ("efficientnet-b0", [112, 56, 28, 14, 14, 7, 7]),
        ("efficientnet-lite0", [112, 56, 28, 14, 14, 7, 7]),
        ("efficientnet-b0-cifar", [32, 32, 16, 8, 8, 4, 4]),
    ])
    func stagesHaveTheirSides(name: String, sides: [Int]) throws {
        let graph = try Models.named(name).graph(batch: 1, mode: .inference)
        for (number, side) in sides.enumerated() {
            let prefix = "features.\(number + 1)."
            let last = try #require(graph.nodes.last { $0.path.hasPrefix(prefix) })
            let output = EfficientNet.stages[number].output
            #expect(graph.shape(last.outputs[0]) == [1, output, side, side])
        }
    }

    @Test func dropRatesRiseWithDepth() throws {
        let graph = try Models.named("efficientnet-b0").graph(batch: 1, mode: .training)
        let rates = graph.nodes.compactMap { node -> Float? in
            if case .stochasticDepth(let rate, _) = node.op { rate } else { nil }
        }
        // Blocks 0, 1, 3, 5, 8, 11 and 15 of 16 change the shape and have no shortcut.
        #expect(rates == [2, 4, 6, 7, 9, 10, 12, 13, 14].map { 0.2 * $0 / 16 })
        #expect(graph.nodes.contains { if case .dropout(0.2, _) = $0.op { true } else { false } })
    }

    @Test func squeezedChannelsAreAQuarterOfTheBlocksInput() throws {
        let graph = try Models.named("efficientnet-b0").graph(batch: 1, mode: .inference)
        let squeezed = graph.parameters.filter { $0.name.hasSuffix("fc1.bias") }
        #expect(squeezed.first?.name == "features.1.0.block.1.fc1.bias")
        #expect(
            squeezed.map(\.shape.count)
                == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48])
    }

    @Test func normalizationsFollowTorchvision() throws {
        for (name, epsilon) in [("b4", Float(1e-5)), ("b5", 1e-3), ("lite0", 1e-3)] {
            let graph = try Models.named("efficientnet-\(name)", input: [3, 64, 64])
                .graph(batch: 1, mode: .inference)
            let found = graph.nodes.compactMap { node -> Float? in
                if case .normalize(let n) = node.op { n.epsilon } else { nil }
            }
            #expect(Set(found) == [epsilon])
        }
    }
}
