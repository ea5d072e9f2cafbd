import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct ConcatenationSharingTests {
    private func program(
        _ name: String, shares: Bool = true, differentiate: Bool = true, block: Int = 16,
        policy: Recomputation.Policy = .none
    ) throws -> Program {
        var options = Program.Options(block: block)
        options.sharesConcatenations = shares
        options.recomputation = policy
        return try Program(
            try Models.named(name).lossGraph(batch: 2), differentiate: differentiate,
            options: options)
    }

    /// 58 layers in four dense blocks: all concatenations but the last of a block are parts of it.
    @Test(arguments: [8, 16]) func aDenseBlockIsOneImage(block: Int) throws {
        let program = try program("densenet121", block: block)
        let graph = program.graph
        let concatenations = graph.nodes.filter { $0.op == .concatenate }.map { $0.outputs[0] }
        #expect(concatenations.count == 58)
        #expect(concatenations.count { graph.hosts[$0] != nil } == 54)
        #expect(Set(concatenations.compactMap { graph.hosts[$0] }).count == 4)
        for (part, host) in graph.hosts {
            #expect(graph.hosts[host] == nil, "a host is part of another value")
            #expect(graph.shape(part)[1] <= graph.shape(host)[1])
            #expect(program.plan.offsets[part] == program.plan.offsets[host])
            #expect(graph.layout(part) == graph.layout(host))
        }
        let apart = try self.program("densenet121", shares: false, block: block)
        #expect(Double(program.arenaBytes) < 0.8 * Double(apart.arenaBytes))
    }

    /// What is in its place already is not moved.
    @Test func onlyWhatIsAppendedCounts() throws {
        let graph = try program("densenet121").graph
        let node = try #require(
            graph.nodes.last { $0.op == .concatenate && graph.hosts[$0.inputs[0]] != nil })
        #expect(graph.bytes(node) == 2 * graph.storageBytes(node.inputs[1]))
        let apart = try program("densenet121", shares: false).graph
        let copying = try #require(apart.nodes.last { $0.op == .concatenate })
        #expect(apart.bytes(copying) == 2 * apart.storageBytes(copying.outputs[0]))
    }

    /// Whoever adds to the front of a gradient changes what it was before.
    @Test func nobodyReadsAGradientThatWasAddedTo() throws {
        let graph = try program("densenet121").graph
        func host(_ value: ValueID) -> ValueID { graph.hosts[value] ?? value }
        var shared = 0
        for (index, node) in graph.nodes.enumerated() {
            guard case .batchNormGradient(let n, _) = node.op, n.accumulates,
                let whole = graph.hosts[node.outputs[0]]
            else { continue }
            shared += 1
            let before = graph.nodes[..<index].flatMap(\.outputs).filter { host($0) == whole }
            let readers = graph.nodes[(index + 1)...].flatMap(\.inputs)
            #expect(!readers.contains(where: before.contains))
        }
        #expect(shared == 54)
    }

    /// One pass of statistics a slice.
    @Test func everySliceIsMeasuredOnce() throws {
        let graph = try program("densenet121").graph
        func count(_ matches: (Op) -> Bool) -> Int { graph.nodes.count { matches($0.op) } }
        // The four blocks' inputs have theirs, too: convolutions normalize these on the way.
        #expect(count { $0 == .channelMoments } == 58 + 4)
        #expect(count { $0 == .joinVectors } == 2 * 58)
        // Batch norms of the stem and of each layer's bottleneck.
        #expect(count { if case .batchNorm = $0 { true } else { false } } == 1 + 58)
        #expect(count { if case .movingAverage = $0 { true } else { false } } == 2 * 121)
    }

    @Test func slicesOfBrokenBlocksAreCopied() throws {
        // Growth 12.
        let graph = try program("densenet40-cifar").graph
        #expect(graph.hosts.isEmpty)
        // Those of the two transitions.
        #expect(graph.nodes.count { $0.op == .channelMoments } == 2)
    }

    @Test func sharedImagesAreNotComputedAgain() throws {
        let graph = try program("densenet121", policy: .all).graph
        #expect(graph.nodes.count { $0.op == .concatenate } == 58)
    }

    @Test func useAfterTrainingSharesToo() throws {
        let source = try Models.named("densenet121").graph(batch: 2, mode: .inference)
        let program = try Program(
            source, differentiate: false, options: Program.Options(block: 16))
        #expect(program.graph.hosts.count == 54)
    }
}
