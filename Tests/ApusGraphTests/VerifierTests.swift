import ApusGraph
import ApusTensor
import Testing

@Suite struct VerifierTests {
    private func graph() throws -> Graph {
        try Network("n", input: [3, 8, 8]) {
            Convolution("conv1", 4, kernel: 3)
            BatchNorm("bn1")
            Activation(.relu)
            Convolution("conv2", 4, kernel: 3)
            GlobalAveragePool()
            Flatten()
            Dense("fc", 10)
        }.lossGraph(batch: 2)
    }

    private func index(_ path: String, in graph: Graph) throws -> Int {
        try #require(graph.nodes.firstIndex { $0.path == path && !$0.inputs.isEmpty })
    }

    @Test func soundGraphsPass() throws {
        let graph = try graph()
        try graph.verify()
        try graph.differentiated().verify()
    }

    @Test func readingBeforeWriting() throws {
        var graph = try graph()
        let conv = try index("conv1", in: graph)
        graph.nodes.swapAt(conv, try index("conv2", in: graph))
        let error = try #require(throws: GraphError.self) { try graph.verify() }
        #expect(error.path == "conv2")
        #expect(error.problem.contains("before it is written"))
    }

    @Test func readingWhatNobodyWrites() throws {
        var graph = try graph()
        graph.nodes.remove(at: try index("conv1", in: graph))
        let error = try #require(throws: GraphError.self) { try graph.verify() }
        #expect(error.path == "bn1")
    }

    @Test func writingTwice() throws {
        var graph = try graph()
        graph.nodes.append(graph.nodes[try index("conv1", in: graph)])
        let error = try #require(throws: GraphError.self) { try graph.verify() }
        #expect(error.path == "conv1")
        #expect(error.problem.contains("a second time"))
    }

    @Test func wrongOutputShape() throws {
        var graph = try graph()
        let last = try index("fc", in: graph)
        graph.nodes[last].outputs = [graph.newValue([2, 11])]
        let error = try #require(throws: GraphError.self) { try graph.verify() }
        #expect(error.path == "fc")
        #expect(error.problem.contains("wrong output shapes"))
    }

    @Test func wrongOperands() throws {
        var graph = try graph()
        let conv = try index("conv2", in: graph)
        graph.nodes[conv].inputs.swapAt(0, 1)
        #expect(throws: GraphError.self) { try graph.verify() }
        graph.nodes[conv].inputs = []
        #expect(throws: GraphError.self) { try graph.verify() }
    }

    @Test func missingOutputs() throws {
        var graph = try graph()
        graph.outputs["features"] = graph.newValue([1])
        let error = try #require(throws: GraphError.self) { try graph.verify() }
        #expect(error.problem.contains("is an output no node writes"))
    }

    @Test func deadNodesGoAndSourcesStay() throws {
        var graph = try graph()
        let count = graph.nodes.count
        let loss = try #require(graph.outputs["loss"])
        try graph.append(.activation(.relu), [loss], path: "unused")
        try graph.append(.activation(.relu), [ValueID(loss.index)], path: "unused too")
        graph.removeDeadNodes()
        #expect(graph.nodes.count == count)
        graph.outputs = [:]
        graph.updates = [:]
        graph.removeDeadNodes()
        #expect(graph.nodes.allSatisfy { $0.inputs.isEmpty })
        #expect(graph.parameters.count == graph.nodes.filter { $0.op == .parameter }.count)
    }
}
