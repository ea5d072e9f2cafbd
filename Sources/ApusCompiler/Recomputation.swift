import ApusGraph

/// Computes cheap values a second time where gradients need them, instead of keeping them: memory
/// for a little time (Chen et al. 2016, "Training deep nets with sublinear memory cost").
///
/// Cheap are passes over memory: normalizations, activations, concatenations; where it is asked for,
/// 1x1 convolutions that widen few channels too. What is expensive is kept. A batch norm is repeated
/// with the statistics it found the first time, so that nothing is updated twice. Every repetition
/// computes the same bytes.
///
/// Runs after differentiation, on the graph whose first `forwardCount` nodes are the forward pass.
public struct Recomputation {
    /// What a program may compute again.
    public enum Policy: String, Hashable, Codable, Sendable, CaseIterable {
        /// Nothing: the fastest.
        case none
        /// Passes over memory, in programs whose activations take more than `largeBytes`.
        case auto
        /// Cheap convolutions as well: the least memory.
        case all
    }

    /// Below this many bytes of activations memory is not what a batch is limited by.
    public static let largeBytes = 1 << 30

    let repeatsConvolutions: Bool

    public init(repeatsConvolutions: Bool) { self.repeatsConvolutions = repeatsConvolutions }

    /// `keeping` are values that cost no memory of their own.
    public func callAsFunction(
        _ graph: Graph, forwardCount: Int, keeping: Set<ValueID> = []
    ) throws(GraphError) -> Graph {
        var pass = Pass(
            graph, forwardCount: forwardCount, convolutions: repeatsConvolutions, keeping: keeping)
        for node in graph.nodes[forwardCount...] { try pass.visit(node) }
        pass.dropSigns()
        return pass.result
    }
}

private struct Pass {
    var result: Graph
    /// The forward node of every value worth computing again.
    private var producers: [ValueID: Node] = [:]
    /// The second copy of a value.
    private var copies: [ValueID: ValueID] = [:]
    /// The signs of a normalized image, as those of its copy.
    private var signs: [ValueID: ValueID] = [:]

    init(_ graph: Graph, forwardCount: Int, convolutions: Bool, keeping: Set<ValueID>) {
        result = graph
        result.nodes = Array(graph.nodes[..<forwardCount])
        var links: [ValueID: Int] = [:]
        for node in result.nodes where node.op.isCheap(node, graph, convolutions: convolutions) {
            if keeping.contains(node.outputs[0]) { continue }
            if node.op.normalization?.addsResidual == true {
                let link = 1 + (node.inputs.last.flatMap { links[$0] } ?? 0)
                if link > Self.longestChain { continue }
                links[node.outputs[0]] = link
            }
            producers[node.outputs[0]] = node
        }
    }

    /// The end of a residual block needs that of the block before. All of a chain are alive when the
    /// last is computed again, so one is kept now and then.
    private static let longestChain = 4

    mutating func visit(_ node: Node) throws(GraphError) {
        var node = node
        for (position, input) in node.inputs.enumerated() {
            if let known = signs[input] {
                node.inputs[position] = known
            } else {
                node.inputs[position] = try copy(input)
            }
        }
        result.nodes.append(node)
    }

    /// The value again, computed from what is kept; the value itself if it is kept.
    private mutating func copy(_ value: ValueID) throws(GraphError) -> ValueID {
        if let copy = copies[value] { return copy }
        guard let node = producers[value] else { return value }
        var op = node.op
        var inputs: [ValueID] = []
        for input in node.inputs { inputs.append(try copy(input)) }
        if let n = op.normalization {
            if case .batchNorm = op { inputs.insert(contentsOf: node.outputs[1...2], at: 3) }
            op = .normalize(n)
        }
        let outputs = try result.append(op, inputs, path: node.path)
        copies[value] = outputs[0]
        // An image that is there again has its signs with it; who needs them sooner reads those of the first.
        if let first = node.op.signsOutput, let second = op.signsOutput {
            signs[node.outputs[first]] = outputs[second]
        }
        return outputs[0]
    }

    /// Nobody saves signs that nobody reads.
    mutating func dropSigns() {
        let consumers = result.consumers()
        for index in result.nodes.indices {
            let node = result.nodes[index]
            guard let position = node.op.signsOutput, consumers[node.outputs[position]] == nil
            else { continue }
            result.nodes[index].op = node.op.withoutSigns
            result.nodes[index].outputs.remove(at: position)
        }
    }
}

extension Op {
    fileprivate var withoutSigns: Op {
        guard var n = normalization else { return self }
        n.savesSigns = false
        return replacing(n)
    }

    /// Multiply-adds for an element that are worth its memory.
    private static var cheapChannels: Int { 128 }

    /// Whether an image is computed again sooner than its memory is worth.
    fileprivate func isCheap(_ node: Node, _ graph: Graph, convolutions: Bool) -> Bool {
        guard graph.shape(node.outputs[0]).rank == 4 else { return false }
        switch self {
        case .batchNorm, .normalize, .activation, .maxPool, .concatenate, .slice, .scaleChannels,
            .dropout, .stochasticDepth:
            return true
        case .convolution(let window, let groups):
            let weights = graph.shape(node.inputs[1])
            return convolutions && window.kernel.count == 1 && groups == 1
                && weights[1] <= min(weights[0], Self.cheapChannels)
        default:
            return false
        }
    }
}
