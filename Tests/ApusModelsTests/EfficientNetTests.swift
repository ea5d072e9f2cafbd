import ApusGraph
import ApusModels
import ApusTensor
import Testing

private func rounded(_ value: Double, _ scale: Double) -> Double {
    (value * scale).rounded() / scale
}

@Suite struct EfficientNetTests {
    struct Cost: Sendable {
        var name: String
        /// Millions.
        var parameters: Double
        var side: Int
        /// Thousands of millions of convolutions and matrix products at that side, as torchvision
        /// gives them with its weights.
        var multiplyAdds: Double
    }

    static let published = [
        Cost(name: "b0", parameters: 5.29, side: 224, multiplyAdds: 0.386),
        Cost(name: "b1", parameters: 7.79, side: 240, multiplyAdds: 0.687),
        Cost(name: "b2", parameters: 9.11, side: 288, multiplyAdds: 1.088),
        Cost(name: "b3", parameters: 12.23, side: 300, multiplyAdds: 1.827),
        Cost(name: "b4", parameters: 19.34, side: 380, multiplyAdds: 4.394),
        Cost(name: "b5", parameters: 30.39, side: 456, multiplyAdds: 10.266),
        Cost(name: "b6", parameters: 43.04, side: 528, multiplyAdds: 19.068),
        Cost(name: "b7", parameters: 66.35, side: 600, multiplyAdds: 37.746),
    ]

    @Test(arguments: published) func costsAgreeWithThePublishedOnes(cost: Cost) throws {
        let network = try Models.named(
            "efficientnet_\(cost.name)", input: [3, cost.side, cost.side])
        let statistics = Statistics(try network.graph(batch: 1, mode: .inference))
        #expect(rounded(Double(statistics.parameters) / 1e6, 100) == cost.parameters)
        #expect(rounded(Double(statistics.multiplyAdds) / 1e9, 1000) == cost.multiplyAdds)
    }

    /// Millions of parameters, as the authors give them.
    @Test(arguments: [
        ("lite0", 4.7, 224), ("lite1", 5.4, 240), ("lite2", 6.1, 260), ("lite3", 8.2, 280),
        ("lite4", 13.0, 300),
    ])
    func liteNetworksAgreeWithThePublishedOnes(name: String, millions: Double, side: Int) throws {
        let network = try Models.named("efficientnet-\(name)")
        #expect(network.input == [3, side, side])
        let graph = try network.graph(batch: 1, mode: .inference)
        #expect(rounded(Double(Statistics(graph).parameters) / 1e6, 10) == millions)
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

    @Test func widthsAreRoundedToEights() {
        #expect(EfficientNet.channels(32, width: 1.1) == 32)
        #expect(EfficientNet.channels(24, width: 1.2) == 32)
        #expect(EfficientNet.channels(16, width: 1.4) == 24)
        // 16 would be below 90 % of 19.2; 8 is the least.
        #expect(EfficientNet.channels(16, width: 1.2) == 24)
        #expect(EfficientNet.channels(16, width: 0.1) == 8)
        for width in stride(from: 0.5, through: 3, by: 0.05) {
            for stage in EfficientNet.stages {
                let channels = EfficientNet.channels(stage.output, width: width)
                #expect(channels % 8 == 0)
                #expect(Double(channels) >= 0.9 * Double(stage.output) * width)
            }
        }
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
