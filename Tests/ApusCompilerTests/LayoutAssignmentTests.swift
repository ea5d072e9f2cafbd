import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct LayoutAssignmentTests {
    private func isReorder(_ node: Node) -> Bool {
        if case .reorder = node.op { true } else { false }
    }

    @Test(arguments: Models.names, [8, 16])
    func activationsAreBlockedAndWeightsPlain(name: String, block: Int) throws {
        let source = try Models.named(name).lossGraph(batch: 2)
        let program = try Program(source, differentiate: true, options: .init(block: block))
        let graph = program.graph
        var plain = Set(graph.parameters.map(\.value)).union(graph.gradients.values)
        plain.formUnion(graph.inputs.values)
        for node in graph.nodes {
            for value in node.outputs where graph.shape(value).rank == 4 {
                let isSigns = node.op.signsOutput.map { node.outputs[$0] } == value
                #expect(
                    graph.layout(value)
                        == (plain.contains(value)
                            ? .plain : isSigns ? .bits(block) : .blocked(block)),
                    "\(name): \(node.op) of \(node.path)")
            }
            for value in node.outputs where graph.shape(value).rank != 4 {
                #expect(graph.layout(value) == .plain)
            }
        }
        // The first convolution reads the images as they are, and nothing else changes layout.
        #expect(!graph.nodes.contains(where: isReorder))
    }

    private func graph(
        _ input: Shape, mode: GraphBuilder.Mode = .inference, @LayerBuilder _ layers: () -> [Layer]
    ) throws -> Graph {
        let graph = try Network("n", input: input, layers).graph(batch: 2, mode: mode)
        let result = try LayoutAssignment(block: 16)(graph)
        try result.verify()
        return result
    }

    @Test(arguments: [(1, 0), (2, 0), (3, 0), (4, 1), (16, 1)])
    func wideImagesAreReorderedOnce(channels: Int, reorders: Int) throws {
        let graph = try graph([channels, 8, 8]) {
            Concatenate {
                Convolution(8, kernel: 3)
                Convolution(8, kernel: 1)
            }
        }
        #expect(graph.nodes.dropLast().filter(isReorder).count == reorders)
        expectPlainOutput(graph)
    }

    @Test func poolingOfImagesNeedsAReorder() throws {
        let graph = try graph([3, 8, 8]) { MaxPool(kernel: 2) }
        #expect(graph.nodes.dropLast().filter(isReorder).count == 1)
        let pooling = graph.nodes[graph.nodes.count - 2]
        #expect(pooling.op == .maxPool(Window(kernel: Size(2), stride: Size(2))))
        #expect(graph.storageCount(pooling.inputs[0]) == 2 * 16 * 8 * 8)
        expectPlainOutput(graph)
    }

    /// Callers read images in plain layout: the last node brings one there.
    private func expectPlainOutput(_ graph: Graph) {
        let last = graph.nodes.last
        #expect(last?.op == .reorder(.plain))
        #expect(last?.inputs.map { graph.layout($0) } == [.blocked(16)])
        #expect(last?.outputs.first == graph.outputs["logits"])
    }

    @Test func flattenReadsEither() throws {
        let images = try graph([3, 8, 8]) { Flatten() }
        #expect(!images.nodes.contains(where: isReorder))
        let features = try graph([3, 8, 8]) {
            Convolution(8, kernel: 3)
            Flatten()
        }
        #expect(!features.nodes.contains(where: isReorder))
        #expect(features.nodes.last.map { features.layout($0.outputs[0]) } == .plain)
    }

    @Test func depthwiseOnImagesIsReordered() throws {
        let graph = try graph([3, 8, 8]) { Convolution.depthwise(kernel: 3) }
        #expect(graph.nodes.dropLast().filter(isReorder).count == 1)
    }

    /// Pointwise work on images that stay plain stays plain, and mixes with blocked ones later.
    @Test func pointwiseOperationsKeepPlainImages() throws {
        let graph = try graph([3, 8, 8]) {
            Activation(.tanh)
            Residual { Convolution(3, kernel: 3) }
        }
        let tanh = try #require(graph.nodes.first { $0.op == .activation(.tanh) })
        #expect(graph.layout(tanh.outputs[0]) == .plain)
        #expect(graph.nodes.dropLast().filter(isReorder).count == 1)
        let sum = try #require(graph.nodes.first { $0.op == .add })
        #expect((sum.inputs + sum.outputs).allSatisfy { graph.layout($0) == .blocked(16) })
    }

    /// Files and the optimizer see gradients as plain as their parameters, however unusual the use.
    @Test func gradientsHaveTheirParametersLayout() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", [2, 8, 4, 4])
        let position = try builder.parameter("position", [2, 8, 4, 4], .constant(0), role: .shift)
        let a = try builder.parameter("a", [8, 8, 3, 3], .heNormal(.out), role: .weight)
        let b = try builder.parameter("b", [8, 8, 3, 3], .heNormal(.out), role: .weight)
        let shifted = try builder.append(.add, [x, position], path: "shift")[0]
        let weights = try builder.append(.add, [a, b], path: "weights")[0]
        let window = Window(kernel: Size(3), padding: Edges(1))
        let y = try builder.append(
            .convolution(window, groups: 1), [shifted, weights], path: "conv")[0]
        let pooled = try builder.append(.globalAveragePool, [y], path: "pool")[0]
        _ = try builder.crossEntropy(
            try builder.append(.flatten, [pooled], path: "flatten")[0])
        let program = try Program(
            builder.graph, differentiate: true, options: .init(block: 16))
        let graph = program.graph
        #expect(Set(graph.gradients.values).count == graph.parameters.count)
        for parameter in graph.parameters {
            let gradient = try #require(graph.gradients[parameter.name])
            #expect(graph.layout(gradient) == .plain, "\(parameter.name)")
            #expect(program.bindings[gradient] == .gradient(parameter.name))
        }
    }
}
