import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct ExcitationFusionTests {
    private func program(_ source: Graph, fuses: Bool) throws -> Program {
        var options = Program.Options(block: 16)
        options.fusesExcitation = fuses
        return try Program(source, differentiate: true, options: options)
    }

    private func count(_ program: Program, _ matches: (Op) -> Bool) -> Int {
        program.graph.nodes.count { matches($0.op) }
    }

    private func pools(_ op: Op) -> Bool {
        switch op {
        case .batchNorm(let n), .normalize(let n): n.pools
        default: false
        }
    }

    private func isSums(_ op: Op) -> Bool {
        if case .excitationSums = op { true } else { false }
    }

    private func isGradient(_ op: Op) -> Bool {
        if case .excitedNormGradient = op { true } else { false }
    }

    /// 16 blocks with squeeze-and-excitation, and the pool before the classifier.
    @Test func everyBlockOfEfficientNetIsMerged() throws {
        let source = try Models.named("efficientnet-b0").lossGraph(batch: 2)
        let apart = try program(source, fuses: false)
        let fused = try program(source, fuses: true)
        #expect(count(apart, pools) == 0 && count(apart, isSums) == 0)
        #expect(count(apart) { $0 == .channelDot } == 16)
        #expect(count(fused, pools) == 17)
        #expect(count(fused, isSums) == 16 && count(fused, isGradient) == 16)
        #expect(count(fused) { $0 == .channelDot || $0 == .globalAveragePool } == 0)
        // Scaling the image itself is left, but not its gradient.
        #expect(count(fused) { $0 == .scaleChannels } == 16)
        #expect(count(fused) { $0 == .add } == count(apart) { $0 == .add } - 16)
        #expect(fused.arenaBytes < apart.arenaBytes)
    }

    /// The normalized image is overwritten by the scaled one.
    @Test func theNormalizedImageIsNotKept() throws {
        let program = try program(
            try Models.named("efficientnet-b0").lossGraph(batch: 2), fuses: true)
        for node in program.graph.nodes where node.op == .scaleChannels {
            #expect(program.plan.offsets[node.inputs[0]] == program.plan.offsets[node.outputs[0]])
        }
    }

    /// A network in which `extend` reads the normalized image besides the gate.
    private func gated(
        _ extend: (inout GraphBuilder, _ normalized: ValueID, _ scaled: ValueID) throws -> ValueID
    ) throws -> Graph {
        var network = GraphBuilder(mode: .training)
        let x = network.input("x", [2, 16, 4, 4])
        let gamma = try network.parameter("gamma", [16], .constant(1), role: .scale)
        let beta = try network.parameter("beta", [16], .constant(0), role: .shift)
        let y = try network.append(
            .batchNorm(Normalization(epsilon: 1e-5)), [x, gamma, beta], path: "n")[0]
        let pooled = try network.append(.globalAveragePool, [y], path: "p")[0]
        let scaled = try network.append(.scaleChannels, [y, pooled], path: "s")[0]
        let image = try extend(&network, y, scaled)
        let flat = try network.append(.flatten, [image], path: "f")[0]
        let labels = network.input("labels", [2])
        let loss = try network.append(
            .crossEntropy(smoothing: 0), [flat, labels], path: "loss")[0]
        network.output("loss", loss)
        return network.graph
    }

    @Test func aGateAloneIsMerged() throws {
        let program = try program(try gated { _, _, scaled in scaled }, fuses: true)
        #expect(count(program, isGradient) == 1)
    }

    /// A third gradient arrives: the sum is needed as an image.
    @Test func imagesReadBesideTheGateStay() throws {
        let source = try gated { network, y, scaled in
            try network.append(.add, [y, scaled], path: "add")[0]
        }
        let program = try program(source, fuses: true)
        #expect(count(program, pools) == 1)
        #expect(count(program, isGradient) == 0 && count(program, isSums) == 0)
        #expect(count(program) { $0 == .channelDot } == 1)
    }

    @Test func withoutGradientsOnlyThePoolIsMerged() throws {
        var options = Program.Options(block: 16)
        options.foldsNormalization = false
        let program = try Program(
            try Models.named("efficientnet-b0").graph(batch: 1, mode: .inference),
            differentiate: false, options: options)
        #expect(count(program, pools) == 17)
        #expect(count(program) { $0 == .globalAveragePool } == 0)
    }

    private func used(batch: Int, fuses: Bool = true) throws -> Program {
        var options = Program.Options(block: 16)
        options.fusesExcitation = fuses
        return try Program(
            try Models.named("efficientnet-b0").graph(batch: batch, mode: .inference),
            differentiate: false, options: options)
    }

    /// One image: where a convolution has fewer weights than half its image has pixels.
    @Test func smallWeightsAreScaledInsteadOfTheImage() throws {
        let apart = try used(batch: 1, fuses: false)
        #expect(count(apart) { $0 == .scaleChannels } == 16)
        #expect(count(apart) { $0 == .scaleWeights } == 0)
        let program = try used(batch: 1)
        #expect(count(program) { $0 == .scaleChannels } == 8)
        #expect(count(program) { $0 == .scaleWeights } == 8)
        for node in program.graph.nodes where node.op == .scaleWeights {
            let reader = try #require(
                program.graph.nodes.first { $0.inputs.contains(node.outputs[0]) })
            #expect(reader.inputs[1] == node.outputs[0])
            #expect(
                2 * program.graph.shape(node.outputs[0]).count
                    <= program.graph.shape(reader.inputs[0]).count)
        }
    }

    /// Every image of a batch has factors of its own.
    @Test func imagesOfABatchAreScaled() throws {
        let program = try used(batch: 2)
        #expect(count(program) { $0 == .scaleChannels } == 16)
        #expect(count(program) { $0 == .scaleWeights } == 0)
    }

    /// What something else reads as well, or another kind of convolution reads, is scaled.
    @Test(arguments: [0, 1, 2, 3, 4])
    func otherReadersKeepTheScaledImage(_ kind: Int) throws {
        var network = GraphBuilder(mode: .inference)
        let x = network.input("x", [1, 16, 8, 8])
        let pooled = try network.append(.globalAveragePool, [x], path: "p")[0]
        let scaled = try network.append(.scaleChannels, [x, pooled], path: "s")[0]
        var layer = Convolution(16, kernel: 1, bias: false)
        if kind == 1 { layer.groups = 2 }
        if kind == 2 { layer = Convolution(16, kernel: 3, bias: false) }
        var y = try network.convolution(scaled, layer, path: "c")
        if kind == 3 { y = try network.append(.add, [y, scaled], path: "a")[0] }
        if kind == 4 { network.output("scaled", scaled) }
        network.output("y", y)
        let program = try Program(
            network.graph, differentiate: false, options: Program.Options(block: 16))
        #expect(count(program) { $0 == .scaleWeights } == (kind == 0 ? 1 : 0))
        #expect(count(program) { $0 == .scaleChannels } == (kind == 0 ? 0 : 1))
    }
}
