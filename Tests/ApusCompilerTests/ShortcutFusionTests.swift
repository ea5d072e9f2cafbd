import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct ShortcutFusionTests {
    private func program(_ name: String, fuses: Bool = true) throws -> Program {
        var options = Program.Options(block: 16)
        options.fusesShortcuts = fuses
        return try Program(
            try Models.named(name).lossGraph(batch: 2), differentiate: true, options: options)
    }

    private func merged(_ graph: Graph) -> Int {
        graph.nodes.count { node in
            if case .batchNorm(let n) = node.op { n.normalizesResidual } else { false }
        }
    }

    /// One a stage; running statistics are those of before, and of the shortcut nothing else is left.
    @Test(arguments: [("resnet50", 4), ("resnet18", 3), ("resnet20-cifar", 0), ("densenet121", 0)])
    func projectionsAreNormalizedAtTheEndOfTheirBlocks(_ name: String, _ count: Int) throws {
        let apart = try program(name, fuses: false).graph
        let fused = try program(name).graph
        try fused.verify()
        #expect(merged(apart) == 0)
        #expect(merged(fused) == count)
        let moments = Op.channelMoments
        #expect(
            fused.nodes.count { $0.op == moments } == apart.nodes.count { $0.op == moments } + count
        )
        #expect(fused.updates == apart.updates)
        #expect(fused.gradients.keys == apart.gradients.keys)
    }

    /// A shortcut that is read elsewhere, or rectified, is an image of its own.
    @Test func otherShortcutsStay() throws {
        func residual(_ finish: (inout GraphBuilder, ValueID) throws -> ValueID) throws -> Graph {
            var net = GraphBuilder(mode: .training)
            let x = net.input("images", [2, 16, 4, 4])
            let labels = net.input("labels", [2])
            func norm(_ name: String, _ x: ValueID) throws -> ValueID {
                let gamma = try net.parameter("\(name).g", [16], .constant(1), role: .scale)
                let beta = try net.parameter("\(name).b", [16], .constant(0), role: .shift)
                return try net.append(
                    .batchNorm(Normalization(epsilon: 1e-5)), [x, gamma, beta], path: name)[0]
            }
            // What is normalized last absorbs the sum.
            let shortcut = try finish(&net, try norm("shortcut", x))
            let body = try norm("body", x)
            var sum = try net.append(.add, [body, shortcut], path: "sum")[0]
            sum = try net.append(.activation(.relu), [sum], path: "relu")[0]
            let flat = try net.append(.flatten, [sum], path: "flat")[0]
            net.output(
                "loss",
                try net.append(.crossEntropy(smoothing: 0), [flat, labels], path: "loss")[0])
            return ShortcutFusion()(try NormalizationFusion()(net.graph).differentiated())
        }
        #expect(merged(try residual { _, x in x }) == 1)
        #expect(
            merged(
                try residual { net, x in
                    try net.append(.activation(.silu), [x], path: "silu")[0]
                }) == 0)
        #expect(
            merged(
                try residual { net, x in
                    net.output("shortcut", x)
                    return x
                }) == 0)
    }
}
