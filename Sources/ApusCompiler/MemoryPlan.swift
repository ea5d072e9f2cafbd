import ApusGraph
import ApusTensor

/// Where every value of a graph lives: offsets into one arena, found from lifetimes.
///
/// Values whose lifetimes overlap never share memory; the largest are placed first, of equal ones those that live
/// longest, each at the lowest offset where it fits. Finding the optimum is NP-hard; this order comes close to the
/// lower bound, which `lowerBound` states.
public struct MemoryPlan: Sendable {
    /// A value or several that are overwritten in place, from the first write to the last read; or none, and a
    /// node's scratch memory.
    public struct Block: Hashable, Sendable {
        public var values: [ValueID]
        /// Floats.
        public var count: Int
        /// Indices of the first node that writes and the last that reads: -1 for what the caller
        /// fills before all nodes, the number of nodes for what it reads after them.
        public var first: Int
        public var last: Int
        /// Floats from the arena's base.
        public var offset = 0

        /// Nodes from the first to the last.
        fileprivate var duration: Int { last - first + 1 }

        func overlaps(_ other: Block) -> Bool { first <= other.last && other.first <= last }
    }

    public let blocks: [Block]
    /// Offsets by value.
    public let offsets: [ValueID: Int]
    /// Offsets of the scratch memory by node.
    public let scratchOffsets: [Int: Int]
    /// Floats of the arena.
    public let arenaCount: Int
    /// The most floats alive at any one node: no plan needs less.
    public let lowerBound: Int

    /// - Parameters:
    ///   - external: values that live elsewhere: parameters, buffers and gradients
    ///   - inPlace: whether operations that can may overwrite an operand nobody reads afterwards
    ///   - scratch: floats that nodes, by their index, need while they run
    public init(
        _ graph: Graph, external: Set<ValueID> = [], inPlace: Bool = true,
        scratch: [Int: Int] = [:]
    ) {
        var blocks = MemoryPlan.lifetimes(graph, external: external)
        if inPlace { blocks = MemoryPlan.merged(blocks, graph) }
        for (node, count) in scratch.sorted(by: { $0.key < $1.key }) {
            let rounded = count.roundedUp(to: MemoryPlan.granule)
            blocks.append(Block(values: [], count: rounded, first: node, last: node))
        }
        let order = blocks.indices.sorted {
            (blocks[$1].count, blocks[$1].duration) < (blocks[$0].count, blocks[$0].duration)
        }
        var placed: [Block] = []
        for index in order {
            var candidate = 0
            let neighbours = placed.filter { $0.overlaps(blocks[index]) }
            for other in neighbours.sorted(by: { $0.offset < $1.offset }) {
                if candidate + blocks[index].count <= other.offset { break }
                candidate = max(candidate, other.offset + other.count)
            }
            blocks[index].offset = candidate
            placed.append(blocks[index])
        }
        self.blocks = blocks
        var offsets: [ValueID: Int] = [:]
        for block in blocks { for value in block.values { offsets[value] = block.offset } }
        self.offsets = offsets
        scratchOffsets = Dictionary(
            uniqueKeysWithValues: blocks.filter(\.values.isEmpty).map { ($0.first, $0.offset) })
        arenaCount = blocks.map { $0.offset + $0.count }.max() ?? 0
        var change = [Int](repeating: 0, count: graph.nodes.count + 3)
        for block in blocks {
            change[block.first + 1] += block.count
            change[block.last + 2] -= block.count
        }
        var alive = 0
        var most = 0
        for delta in change.dropLast() {
            alive += delta
            most = max(most, alive)
        }
        lowerBound = most
    }

    /// The longest part of the arena in which none of `values` lies, ever.
    package func longestGap(besides values: Set<ValueID>) -> Range<Int> {
        var longest = 0..<0
        var end = 0
        func consider(_ start: Int) {
            if start - end > longest.count { longest = end..<start }
        }
        let taken = blocks.filter { !values.isDisjoint(with: $0.values) }
        for block in taken.sorted(by: { $0.offset < $1.offset }) {
            consider(block.offset)
            end = max(end, block.offset + block.count)
        }
        consider(arenaCount)
        return longest
    }

    /// Floats to which blocks are rounded up so that every offset is aligned.
    private static var granule: Int { Arena.alignment / MemoryLayout<Float>.stride }

    /// One block a value.
    private static func lifetimes(_ graph: Graph, external: Set<ValueID>) -> [Block] {
        let roots = graph.roots
        var indices: [ValueID: Int] = [:]
        var blocks: [Block] = []
        for (index, node) in graph.nodes.enumerated() {
            for input in node.inputs {
                if let block = indices[input], blocks[block].last < index {
                    blocks[block].last = index
                }
            }
            for output in node.outputs where !external.contains(output) {
                // A part of another value begins where that does.
                let host = graph.hosts[output] ?? output
                if let block = indices[host] {
                    indices[output] = block
                    blocks[block].values.append(output)
                    blocks[block].last = max(
                        blocks[block].last, roots.contains(output) ? graph.nodes.count : index)
                    continue
                }
                indices[output] = blocks.count
                indices[host] = blocks.count
                blocks.append(
                    Block(
                        values: [output],
                        count: graph.storageBytes(host).dividedRoundingUp(
                            by: MemoryLayout<Float>.stride
                        ).roundedUp(to: granule),
                        // The caller fills inputs before the first node runs, and they stay for
                        // the next run.
                        first: node.op == .input ? -1 : index,
                        last: node.op == .input || roots.contains(output)
                            ? graph.nodes.count : index))
            }
        }
        return blocks
    }

    /// Lets outputs take over the block of an operand that dies at the node.
    private static func merged(_ blocks: [Block], _ graph: Graph) -> [Block] {
        var blocks = blocks
        var owner: [ValueID: Int] = [:]
        for (index, block) in blocks.enumerated() where block.values.count == 1 {
            owner[block.values[0]] = index
        }
        var absorbed = Set<Int>()
        for (index, node) in graph.nodes.enumerated() {
            for (written, operands) in node.op.overwrites {
                guard written < node.outputs.count, let target = owner[node.outputs[written]]
                else { continue }
                let output = node.outputs[written]
                for position in operands {
                    guard position < node.inputs.count, let source = owner[node.inputs[position]],
                        blocks[source].last == index, blocks[source].count == blocks[target].count,
                        graph.type(node.inputs[position]) == graph.type(output),
                        source != target, blocks[source].first >= 0,
                        !node.outputs.contains(where: blocks[source].values.contains),
                        node.inputs.filter({ $0 == node.inputs[position] }).count == 1
                    else { continue }
                    blocks[source].values += blocks[target].values
                    blocks[source].last = blocks[target].last
                    for value in blocks[target].values { owner[value] = source }
                    absorbed.insert(target)
                    break
                }
            }
        }
        return blocks.indices.filter { !absorbed.contains($0) }.map { blocks[$0] }
    }
}

extension Op {
    /// Outputs that may overwrite an operand while they are computed, each with these operands: every
    /// element is read no later than it is written.
    var overwrites: [(output: Int, operands: [Int])] {
        switch self {
        case .add, .activationGradient: [(0, [0, 1])]
        case .excitedNormGradient: [(0, [1, 0])]
        // A pixel is looked at under several windows.
        case .normalize(let n) where n.maxPool != nil: []
        case .batchNormGradient(let n, _) where n.maxPool != nil: []
        case .activation, .dropout, .stochasticDepth, .normalize, .addBias, .scaleChannels,
            .softmaxGradient:
            [(0, [0])]
        case .convolutionInputGradient: [(0, [2])]
        case .batchNormGradient(let n, _):
            // A first pass reads both parts and leaves their sum, a second reads that and x.
            n.sumsGradients
                ? [(3, [1, n.secondGradientOperand]), (0, [n.secondGradientOperand, 1, 0])]
                : [(0, (n.accumulates ? [n.baseOperand] : []) + [1, 0])]
        // The convolution is added to the residual where it lies.
        case .normalizedConvolution: [(0, [6])]
        default: []
        }
    }
}
