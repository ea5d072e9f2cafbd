import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct GradientAccumulationTests {
    private func gradients(_ name: String) throws -> Graph {
        var graph = NormalizationFusion()(try Models.named(name).lossGraph(batch: 2))
        graph = try graph.differentiated()
        graph.removeDeadNodes()
        return graph
    }

    private func count(_ graph: Graph, _ matches: (Normalization) -> Bool) -> Int {
        graph.nodes.count { node in
            if case .batchNormGradient(let n, _) = node.op { matches(n) } else { false }
        }
    }

    private func adds(_ graph: Graph) -> Int { graph.nodes.count { $0.op == .add } }

    /// Two gradients meet before each block but the first, whose input is pooled.
    @Test func gradientsOfResidualBlocksMeetInNormalizations() throws {
        let graph = try gradients("resnet50")
        let fused = GradientAccumulation(addsConvolutions: false)(graph)
        try fused.verify()
        #expect(adds(graph) == 16)
        #expect(adds(fused) == 1)
        #expect(count(fused) { $0.sumsGradients } == 15)
        #expect(count(fused) { $0.accumulates } == 0)
        #expect(fused.gradients == graph.gradients)
    }

    /// A bottleneck begins with a 1x1 convolution, whose gradient is added to the other: of twelve shortcuts
    /// to what their block's end got, of four projections to theirs. Nobody needs a rectified gradient.
    @Test func gradientsOfBottlenecksMeetInConvolutions() throws {
        let graph = try gradients("resnet50")
        let fused = GradientAccumulation(addsConvolutions: true)(graph)
        try fused.verify()
        #expect(adds(fused) == 0)
        #expect(count(fused) { $0.sumsGradients } == 0)
        let joined = fused.nodes.filter { node in
            if case .convolutionInputGradient = node.op { node.inputs.count > 2 } else { false }
        }
        #expect(joined.count == 16)
        #expect(joined.count { $0.inputs.count == 4 } == 12)
        // The ends of 16 blocks and the normalizations of four projections.
        #expect(count(fused) { $0.leavesResidual } == 20)
        #expect(count(fused) { $0.addsResidual && !$0.leavesResidual } == 0)
        #expect(fused.gradients == graph.gradients)
    }

    /// Blocks that begin with a 3x3 convolution: their normalizations add, and leave the sum to shortcuts.
    @Test func otherConvolutionsAddNothing() throws {
        let graph = try gradients("resnet18")
        #expect(
            GradientAccumulation(addsConvolutions: true)(graph)
                == GradientAccumulation(addsConvolutions: false)(graph))
    }

    /// Without a rectifier behind the sum the shortcut's gradient is what the block's end got.
    @Test func linearBlocksNeedNoSigns() throws {
        let graph = try gradients("efficientnet_b0")
        let fused = GradientAccumulation(addsConvolutions: true)(graph)
        try fused.verify()
        let joined = fused.nodes.filter { node in
            if case .convolutionInputGradient = node.op { node.inputs.count > 2 } else { false }
        }
        #expect(joined.count == 9)
        #expect(joined.allSatisfy { $0.inputs.count == 3 })
        #expect(adds(fused) == adds(graph) - 9)
    }

    /// Every layer's first normalization adds to the gradient of all before it.
    @Test func normalizationsOfDenseBlocksAccumulate() throws {
        let graph = try gradients("densenet121")
        let fused = GradientAccumulation(addsConvolutions: true)(graph)
        try fused.verify()
        #expect(adds(graph) == 58)
        #expect(adds(fused) == 0)
        #expect(count(fused) { $0.accumulates } == 58)
        #expect(count(fused) { $0.sumsGradients } == 0)
    }

    @Test func gradientsReadTwiceStay() throws {
        var network = GraphBuilder(mode: .training)
        let x = network.input("x", [2, 8, 4, 4])
        let gamma = try network.parameter("gamma", [8], .constant(1), role: .scale)
        let beta = try network.parameter("beta", [8], .constant(0), role: .shift)
        let n = Normalization(epsilon: 1e-5)
        let outputs = try network.append(.batchNorm(n), [x, gamma, beta], path: "n")
        // Without a residual the sum is read by two passes.
        let pooled = try network.append(.globalAveragePool, [outputs[0]], path: "p")[0]
        let scaled = try network.append(.scaleChannels, [outputs[0], pooled], path: "s")[0]
        let flat = try network.append(.flatten, [scaled], path: "f")[0]
        let labels = network.input("labels", [2])
        let loss = try network.append(
            .crossEntropy(smoothing: 0), [flat, labels], path: "loss")[0]
        network.output("loss", loss)
        let graph = try network.graph.differentiated()
        let fused = GradientAccumulation(addsConvolutions: true)(graph)
        #expect(adds(graph) == 1)
        #expect(fused == graph)
    }

    @Test func accumulationIsAChoice() throws {
        let source = try Models.named("resnet50").lossGraph(batch: 2)
        var separate = Program.Options(block: 16)
        separate.accumulatesGradients = false
        let apart = try Program(source, differentiate: true, options: separate)
        for (block, left) in [(16, 0), (8, 1)] {
            let fused = try Program(
                source, differentiate: true, options: Program.Options(block: block))
            #expect(adds(apart.graph) == 16)
            #expect(adds(fused.graph) == left)
        }
    }
}
