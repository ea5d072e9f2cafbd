import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

/// Where and when one value is in memory, derived from the steps alone.
private struct Residence {
    var value: ValueID
    /// The value of which it is a part, or itself.
    var host: ValueID
    var offset: Int
    var count: Int
    /// The step that writes, -1 for what the caller fills before the first.
    var written: Int
    /// The last step that reads, or the number of steps for what the caller reads after the last.
    var read: Int
}

extension Op {
    /// Operands an output may replace: those read element by element, no later than written.
    fileprivate func replaceable(output: Int) -> [Int] {
        if case .batchNormGradient(let n, _) = self {
            let second = n.sumsGradients ? [n.secondGradientOperand] : []
            let base = n.accumulates ? [n.baseOperand] : []
            return switch output {
            case 0: [0, 1] + second + base
            case 3 where n.sumsGradients: [1] + second
            default: []
            }
        }
        guard output == 0 else { return [] }
        return switch self {
        case .add, .activationGradient, .excitedNormGradient: [0, 1]
        case .activation, .dropout, .stochasticDepth, .normalize, .addBias, .scaleChannels,
            .softmaxGradient:
            [0]
        case .normalizedConvolution: [6]
        case .convolutionInputGradient: [2]
        default: []
        }
    }
}

@Suite struct MemoryPlanTests {
    private func residences(_ program: Program) throws -> [Residence] {
        let graph = program.graph
        var result: [ValueID: Residence] = [:]
        for (step, node) in graph.nodes.enumerated() {
            for value in node.inputs { result[value]?.read = step }
            for value in node.outputs where program.bindings[value] == nil {
                let offset = try #require(program.plan.offsets[value], "\(value) has no place")
                result[value] = Residence(
                    value: value, host: graph.hosts[value] ?? value, offset: offset,
                    count: graph.storageCount(graph.hosts[value] ?? value),
                    written: node.op == .input ? -1 : step, read: step)
            }
        }
        // What the caller reads, and what it has filled, stays.
        for value in graph.roots.union(graph.inputs.values) {
            result[value]?.read = graph.nodes.count
        }
        return result.values.sorted { ($0.offset, $0.value) < ($1.offset, $1.value) }
    }

    /// Whether `b` may take the place of `a`: `a` dies exactly where `b` is written in its stead.
    private func replaces(_ b: Residence, _ a: Residence, _ graph: Graph) -> Bool {
        guard a.read == b.written, a.written >= 0, a.offset == b.offset, a.count == b.count else {
            return false
        }
        let node = graph.nodes[b.written]
        let positions = node.inputs.indices.filter { node.inputs[$0] == a.value }
        guard let output = node.outputs.firstIndex(of: b.value), positions.count == 1 else {
            return false
        }
        return node.op.replaceable(output: output).contains(positions[0])
    }

    /// The first pair that shares memory while both are needed.
    private func conflict(_ program: Program, inPlace: Bool) throws -> String? {
        let all = try residences(program)
        for (index, a) in all.enumerated() {
            for b in all[(index + 1)...] {
                if b.offset >= a.offset + a.count { break }
                if a.read < b.written || b.read < a.written || a.host == b.host { continue }
                if inPlace && replaces(b, a, program.graph) { continue }
                if inPlace && replaces(a, b, program.graph) { continue }
                return "\(a) and \(b) in\n\(program)"
            }
        }
        return nil
    }

    /// The most floats that must outlast some step: no plan can do with less.
    private func bound(_ program: Program) throws -> Int {
        let all = try residences(program)
        var most = 0
        for step in program.graph.nodes.indices {
            let alive = all.filter { $0.written <= step && $0.read > step }
            let counts = Dictionary(alive.map { ($0.host, $0.count) }) { first, _ in first }
            most = max(most, counts.values.reduce(0, +))
        }
        return most
    }

    private func check(_ program: Program, inPlace: Bool) throws {
        #expect(try conflict(program, inPlace: inPlace) == nil)
        let plan = program.plan
        for offset in plan.offsets.values {
            #expect(offset % (Arena.alignment / MemoryLayout<Float>.stride) == 0)
        }
        let ends = plan.offsets.map { $0.value + program.graph.storageCount($0.key) }
        #expect((ends.max() ?? 0) <= plan.arenaCount)
        #expect(plan.arenaCount >= plan.lowerBound)
        #expect(try plan.lowerBound >= bound(program))
        // What is bound elsewhere takes no room.
        #expect(Set(plan.offsets.keys).isDisjoint(with: program.bindings.keys))
    }

    /// Where a node's values are not there is room for what is tried out, and nowhere is more of it.
    @Test(arguments: ["resnet50", "densenet121"])
    func theLongestGapIsBesideTheNodesValues(name: String) throws {
        let program = try Program(
            Models.named(name).lossGraph(batch: 2), differentiate: true,
            options: .init(block: 16))
        let all = Dictionary(
            uniqueKeysWithValues: try residences(program).map { ($0.value, $0) })
        for node in program.graph.nodes {
            let values = Set(node.inputs + node.outputs)
            let gap = program.plan.longestGap(besides: values)
            #expect(gap.lowerBound >= 0 && gap.upperBound <= program.plan.arenaCount)
            let taken = values.compactMap { all[$0] }
            for one in taken {
                #expect(!gap.overlaps(one.offset..<one.offset + one.count), "\(node)")
            }
            // Blocks end at multiples of 16 floats, values need not.
            let starts = [0] + taken.map { ($0.offset + $0.count).roundedUp(to: 16) }
            for start in starts {
                let inside = taken.contains {
                    $0.offset <= start && start < $0.offset + $0.count
                }
                let end = taken.map(\.offset).filter { $0 >= start }.min()
                let length = (end ?? program.plan.arenaCount) - start
                #expect(inside || length <= gap.count, "\(node)")
            }
        }
    }

    /// Floats for some of the nodes.
    private func graphScratch(_ program: Program, _ key: RandomKey) -> [Int: Int] {
        let nodes = program.graph.nodes.indices.filter { key.integer(below: 2, at: 2 * $0) > 0 }
        return Dictionary(
            uniqueKeysWithValues: nodes.map { ($0, 1 + key.integer(below: 5000, at: 2 * $0 + 1)) })
    }

    /// While a node runs, nobody needs what its scratch memory covers.
    private func checkScratch(_ program: Program, _ scratch: [Int: Int]) throws {
        let plan = program.plan
        #expect(Set(plan.scratchOffsets.keys) == Set(scratch.keys))
        let all = try residences(program)
        for (node, offset) in plan.scratchOffsets {
            let end = try offset + #require(scratch[node])
            #expect(offset % (Arena.alignment / MemoryLayout<Float>.stride) == 0)
            #expect(end <= plan.arenaCount)
            let meets = all.first {
                $0.written <= node && node <= $0.read && $0.offset < end
                    && offset < $0.offset + $0.count
            }
            #expect(meets == nil, "the scratch memory of \(node) in\n\(program)")
        }
    }

    @Test(arguments: 0..<10) func randomGraphsNeverShareMemory(decade: Int) throws {
        for seed in (decade * 40)..<(decade * 40 + 40) {
            let key = RandomKey(seed: 1).child(seed)
            let training = key.integer(below: 3, at: 0) > 0
            var random = RandomGraph(seed: seed, mode: training ? .training : .inference)
            let graph = try random.make(4 + key.integer(below: 30, at: 1), loss: training)
            for inPlace in [true, false] {
                var options = Program.Options(block: seed % 2 == 0 ? 16 : 8)
                options.worksInPlace = inPlace
                options.fusesNormalization = seed % 3 > 0
                var program = try Program(graph, differentiate: training, options: options)
                try check(program, inPlace: inPlace)
                let scratch = graphScratch(program, key.child("scratch"))
                program.reserve(scratch: scratch)
                try check(program, inPlace: inPlace)
                try checkScratch(program, scratch)
            }
        }
    }

    @Test(arguments: Models.names) func modelsNeverShareMemory(name: String) throws {
        let network = try Models.named(name)
        for inPlace in [true, false] {
            var options = Program.Options(block: 16)
            options.worksInPlace = inPlace
            let training = try Program(
                network.lossGraph(batch: 2), differentiate: true, options: options)
            try check(training, inPlace: inPlace)
            let inference = try Program(
                network.graph(batch: 2, mode: .inference), differentiate: false, options: options)
            try check(inference, inPlace: inPlace)
        }
    }

    @Test func plansComeCloseToTheBound() throws {
        let network = try Models.named("resnet50")
        for program in [
            try Program(
                network.lossGraph(batch: 32), differentiate: true, options: .init(block: 16)),
            try Program(
                network.graph(batch: 16, mode: .inference), differentiate: false,
                options: .init(block: 16)),
        ] {
            let ratio = Double(program.plan.arenaCount) / Double(program.plan.lowerBound)
            #expect(ratio <= 1.15)
        }
    }

    @Test func workingInPlaceSavesMemory() throws {
        let source = try Models.named("resnet50").lossGraph(batch: 2)
        var options = Program.Options(block: 16)
        let inPlace = try Program(source, differentiate: true, options: options)
        options.worksInPlace = false
        let apart = try Program(source, differentiate: true, options: options)
        #expect(inPlace.arenaBytes < apart.arenaBytes)
    }

    /// The last step must not overwrite what the caller still reads.
    @Test func theLastNodeSparesOutputs() throws {
        var builder = GraphBuilder(mode: .inference)
        let x = builder.input("x", [2, 16])
        let logits = try builder.append(.softmax, [x], path: "logits")[0]
        let last = try builder.append(.activation(.relu), [logits], path: "last")[0]
        builder.output("logits", logits)
        builder.output("last", last)
        let program = try Program(
            builder.graph, differentiate: false, options: .init(block: 16))
        #expect(program.plan.offsets[logits] != program.plan.offsets[last])
        try check(program, inPlace: true)
    }

    /// The caller's images must be there for another run.
    @Test func inputsAreNeverOverwritten() throws {
        var builder = GraphBuilder(mode: .inference)
        let x = builder.input("x", [2, 16])
        let y = try builder.append(.activation(.relu), [x], path: "relu")[0]
        builder.output("y", y)
        let program = try Program(
            builder.graph, differentiate: false, options: .init(block: 16))
        #expect(program.plan.offsets[x] != program.plan.offsets[y])
    }
}
