import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct InputNormalizationTests {
    private func program(_ name: String, merges: Bool = true) throws -> Program {
        var options = Program.Options(block: 16)
        options.normalizesInputs = merges
        return try Program(
            try Models.named(name).lossGraph(batch: 2), differentiate: true, options: options)
    }

    private func merged(_ graph: Graph) -> (convolutions: Int, weightGradients: Int) {
        let convolutions = graph.nodes.count {
            if case .convolutionOfNormalized = $0.op { true } else { false }
        }
        let gradients = graph.nodes.count {
            if case .weightGradientOfNormalized = $0.op { true } else { false }
        }
        return (convolutions, gradients)
    }

    /// The last convolution of every bottleneck; in dense blocks the first of every layer, and the transitions. The
    /// normalized images are gone: a node less for each, or a batch norm that only finds statistics.
    @Test(arguments: [("resnet50", 16), ("resnet18", 0), ("densenet121", 61)])
    func convolutionsNormalizeWhatTheyRead(_ name: String, _ count: Int) throws {
        let apart = try program(name, merges: false)
        let program = try program(name)
        try program.graph.verify()
        #expect(merged(apart.graph) == (0, 0))
        #expect(merged(program.graph) == (count, count))
        let moments = { (graph: Graph) in graph.nodes.count { $0.op == .channelMoments } }
        let gone = apart.graph.nodes.count - program.graph.nodes.count
        #expect(gone + moments(program.graph) - moments(apart.graph) == count)
        #expect(program.graph.updates == apart.graph.updates)
        #expect(program.graph.gradients == apart.graph.gradients)
        #expect(program.arenaBytes <= apart.arenaBytes)
    }

    /// In brain floats and blocks of eight the kernels are the library's.
    @Test func otherKernelsReadWhatIsThere() throws {
        let source = try Models.named("densenet121").lossGraph(batch: 2)
        var options = Program.Options(block: 8)
        let narrow = try Program(source, differentiate: true, options: options)
        #expect(merged(narrow.graph) == (0, 0))
        options = Program.Options(block: 16)
        options.precision = .bf16
        let short = try Program(source, differentiate: true, options: options)
        #expect(merged(short.graph) == (0, 0))
    }

    /// What a batch norm and one more reader of its result make of a graph.
    private func graph(
        _ n: Normalization = Normalization(epsilon: 1e-5), window: Window = Window(kernel: Size(1)),
        reader: (inout GraphBuilder, ValueID) throws -> Void = { _, _ in }
    ) throws -> Graph {
        var net = GraphBuilder(mode: .training)
        let x = net.input("images", [2, 16, 6, 6])
        let blocks = try net.append(.reorder(.blocked(16)), [x], path: "x")[0]
        let gamma = try net.parameter("g", [16], .constant(1), role: .scale)
        let beta = try net.parameter("b", [16], .constant(0), role: .shift)
        let y = try net.append(.batchNorm(n), [blocks, gamma, beta], path: "norm")[0]
        let w = try net.parameter(
            "w", [16, 16, window.kernel.height, window.kernel.width], .constant(1), role: .weight)
        let result = try net.append(.convolution(window, groups: 1), [y, w], path: "conv")[0]
        net.output("result", result)
        try reader(&net, y)
        return InputNormalization(block: 16)(
            try LayoutAssignment(block: 16)(net.graph))
    }

    @Test func whatIsReadElsewhereIsWritten() throws {
        #expect(merged(try graph()).convolutions == 1)
        // As the graph's result, by another operation, or with other pixels.
        #expect(merged(try graph { $0.output("image", $1) }).convolutions == 0)
        #expect(
            merged(
                try graph { net, y in
                    net.output("sum", try net.append(.add, [y, y], path: "sum")[0])
                }
            ).convolutions == 0)
        let strided = Window(kernel: Size(1), stride: Size(2))
        #expect(merged(try graph(window: strided)).convolutions == 0)
        let wide = Window(kernel: Size(3), padding: Edges(1))
        #expect(merged(try graph(window: wide)).convolutions == 0)
    }

    @Test func onlyRectifiersComeAlong() throws {
        for (activation, count) in [
            (ActivationFunction.relu, 1), (.silu, 0), (.relu6, 0),
        ] {
            let n = Normalization(epsilon: 1e-5, activation: activation)
            #expect(merged(try graph(n)).convolutions == count)
        }
        var pooling = Normalization(epsilon: 1e-5, activation: .relu)
        pooling.pools = true
        #expect(merged(try graph(pooling)).convolutions == 0)
    }
}
