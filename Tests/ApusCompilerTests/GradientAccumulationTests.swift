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
        let fused = GradientAccumulation()(graph)
        try fused.verify()
        #expect(adds(graph) == 16)
        #expect(adds(fused) == 1)
        #expect(count(fused) { $0.sumsGradients } == 15)
        #expect(count(fused) { $0.accumulates } == 0)
        #expect(fused.gradients == graph.gradients)
    }

    /// Every layer's first normalization adds to the gradient of all before it.
    @Test func normalizationsOfDenseBlocksAccumulate() throws {
        let graph = try gradients("densenet121")
        let fused = GradientAccumulation()(graph)
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
        let fused = GradientAccumulation()(graph)
        #expect(adds(graph) == 1)
        #expect(fused == graph)
    }

    @Test func accumulationIsAChoice() throws {
        let source = try Models.named("resnet50").lossGraph(batch: 2)
        var separate = Program.Options(block: 16)
        separate.accumulatesGradients = false
        let apart = try Program(source, differentiate: true, options: separate)
        let fused = try Program(
            source, differentiate: true, options: Program.Options(block: 16))
        #expect(adds(apart.graph) == adds(fused.graph) + 15)
    }
}
