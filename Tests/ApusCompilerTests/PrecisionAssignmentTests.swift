import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct PrecisionAssignmentTests {
    private func program(_ name: String, _ precision: Precision) throws -> Program {
        var options = Program.Options(block: 16)
        options.precision = precision
        // In brain floats convolutions do not, and memory is compared.
        options.normalizesInputs = false
        return try Program(
            Models.named(name).lossGraph(batch: 2), differentiate: true, options: options)
    }

    private func isConversion(_ node: Node) -> Bool {
        if case .convert = node.op { true } else { false }
    }

    @Test(arguments: Models.names)
    func imagesAreBrainFloatsAndSumsAreNot(name: String) throws {
        let graph = try program(name, .bf16).graph
        let stored = Set(graph.parameters.map(\.value)).union(graph.gradients.values)
        for node in graph.nodes where !node.inputs.isEmpty {
            for value in node.outputs {
                let shape = graph.shape(value)
                let isImage =
                    shape.rank == 4 && shape[2] * shape[3] > 1 && !stored.contains(value)
                    && node.op.signsOutput.map { node.outputs[$0] } != value
                #expect(
                    graph.type(value) == (isImage ? .bfloat16 : .float32),
                    "\(name): \(node.op) of \(node.path)")
            }
        }
        // The caller's images are converted once, and nothing else changes its type.
        #expect(graph.nodes.count(where: isConversion) == 1)
        for value in graph.roots { #expect(graph.type(value) == .float32) }
    }

    @Test func memoryIsHalved() throws {
        let (full, half) = (try program("resnet50", .fp32), try program("resnet50", .bf16))
        let ratio = Double(half.arenaBytes) / Double(full.arenaBytes)
        #expect((0.49...0.52).contains(ratio), "\(ratio)")
        #expect(half.stateBytes == full.stateBytes)
        #expect(!full.graph.types.contains(.bfloat16))
    }

    /// A value that is read as an image and as numbers, and an image that is an output.
    @Test func conversionsStandWhereTypesMeet() throws {
        let network = Network("n", input: [3, 8, 8]) {
            Convolution("a", 8, kernel: 3)
            Scale {
                GlobalAveragePool()
                Convolution("b", 8, kernel: 1)
                Activation(.sigmoid)
            }
            Convolution("c", 4, kernel: 3)
        }
        var options = Program.Options(block: 16)
        options.precision = .bf16
        let graph = try network.graph(batch: 2, mode: .inference)
        let program = try Program(graph, differentiate: false, options: options)
        let types = program.graph.nodes.filter(isConversion).map(\.op)
        #expect(types == [.convert(.bfloat16), .convert(.float32)])
        // Squeeze-and-excitation's convolution of one pixel stays in 32 bits.
        let small = program.graph.nodes.filter {
            if case .convolution = $0.op {
                program.graph.shape($0.outputs[0])[2] == 1
            } else {
                false
            }
        }
        #expect(small.map { program.graph.type($0.outputs[0]) } == [.float32])
    }
}
