import ApusGraph

/// Leaves the sum of two gradients to the pass that reads or writes them: the gradient of a
/// normalization adds what arrives in two parts as it reads it, or adds its own to what is there; the
/// input gradient of a 1x1 convolution is added to what is there.
///
/// The last is how the gradients of a residual block's two paths meet before its first convolution. The
/// shortcut's is that of the block's end where the rectifier there was open, so the convolution takes that
/// and the signs, and the gradient behind the rectifier is an image nobody needs.
///
/// Runs after differentiation.
public struct GradientAccumulation {
    /// Whether 1x1 convolutions of this program can be added to an image.
    let addsConvolutions: Bool

    public init(addsConvolutions: Bool) { self.addsConvolutions = addsConvolutions }

    public func callAsFunction(_ graph: Graph) -> Graph {
        var pass = Pass(graph)
        for (index, node) in graph.nodes.enumerated() {
            guard node.op == .add, node.inputs[0] != node.inputs[1] else { continue }
            if addsConvolutions, pass.addConvolution(index) { continue }
            if pass.sumBeforeNormalization(index) { continue }
            pass.addNormalization(index)
        }
        for index in graph.nodes.indices { pass.takeSigns(index) }
        return pass.finished
    }
}

private struct Pass {
    private let graph: Graph
    private let consumers: [ValueID: [Int]]
    private let writers: [ValueID: Int]
    private let roots: Set<ValueID>
    private var result: Graph
    private var removed = Set<Int>()

    init(_ graph: Graph) {
        self.graph = graph
        result = graph
        consumers = graph.consumers()
        writers = graph.writers()
        roots = graph.roots
    }

    var finished: Graph {
        var graph = result
        graph.nodes = graph.nodes.indices.filter { !removed.contains($0) }.map { graph.nodes[$0] }
        return graph
    }

    /// The only node that reads a value which nothing outside the graph reads.
    private func onlyReader(_ value: ValueID) -> Int? {
        guard let users = consumers[value], users.count == 1, !roots.contains(value) else {
            return nil
        }
        return users[0]
    }

    /// For every term of the sum at `index` that nobody else reads: the node whose first output it is, and the
    /// other term.
    private func terms(_ index: Int) -> [(writer: Int, other: ValueID)] {
        let inputs = graph.nodes[index].inputs
        return [(inputs[1], inputs[0]), (inputs[0], inputs[1])].compactMap { term, other in
            guard let writer = writers[term], onlyReader(term) == index,
                graph.nodes[writer].outputs[0] == term
            else { return nil }
            return (writer, other)
        }
    }

    /// Puts a convolution's input gradient in the place of the sum.
    mutating func addConvolution(_ index: Int) -> Bool {
        for (writer, other) in terms(index) {
            var node = graph.nodes[writer]
            guard case .convolutionInputGradient(let window, 1, _) = node.op,
                window == Window(kernel: Size(1)), node.inputs.count == 2
            else { continue }
            node.inputs += leaveResidual(other, to: index) ?? [other]
            node.outputs = graph.nodes[index].outputs
            result.nodes[index] = node
            removed.insert(writer)
            return true
        }
        return false
    }

    /// What a dresidual that only the node at `index` reads is made of: the gradient of the block's end and,
    /// where that is rectified, the signs. Nobody writes it then.
    private mutating func leaveResidual(_ value: ValueID, to index: Int) -> [ValueID]? {
        guard let end = writers[value], onlyReader(value) == index,
            case .batchNormGradient(var n, let frozen) = result.nodes[end].op, !n.sumsGradients,
            result.nodes[end].outputs.last == value, n.addsResidual
        else { return nil }
        n.leavesResidual = true
        result.nodes[end].op = .batchNormGradient(n, frozen: frozen)
        result.nodes[end].outputs.removeLast()
        let inputs = result.nodes[end].inputs
        return [inputs[1]] + (n.readsSigns ? [inputs[5]] : [])
    }

    /// Lets the normalization of a projected shortcut take the signs itself: its result was a term of the same
    /// rectified sum.
    mutating func takeSigns(_ index: Int) {
        guard case .batchNormGradient(var n, let frozen) = result.nodes[index].op,
            !n.addsResidual, n.activation == nil, !n.accumulates,
            let inputs = leaveResidual(result.nodes[index].inputs[1], to: index)
        else { return }
        if inputs.count > 1 {
            n.activation = .relu
            n.addsResidual = true
            n.leavesResidual = true
            result.nodes[index].inputs.insert(inputs[1], at: 5)
        }
        result.nodes[index].inputs[1] = inputs[0]
        result.nodes[index].op = .batchNormGradient(n, frozen: frozen)
    }

    /// Lets the normalization that reads the sum read both terms.
    mutating func sumBeforeNormalization(_ index: Int) -> Bool {
        let node = graph.nodes[index]
        guard let reader = onlyReader(node.outputs[0]),
            case .batchNormGradient(var n, let frozen) = graph.nodes[reader].op,
            n.addsResidual, graph.nodes[reader].inputs[1] == node.outputs[0]
        else { return false }
        n.sumsGradients = true
        result.nodes[reader].op = .batchNormGradient(n, frozen: frozen)
        result.nodes[reader].inputs[1] = node.inputs[0]
        result.nodes[reader].inputs.insert(node.inputs[1], at: n.secondGradientOperand)
        removed.insert(index)
        return true
    }

    /// Lets the normalization that writes one term add it to the other.
    mutating func addNormalization(_ index: Int) {
        for (writer, other) in terms(index) {
            guard case .batchNormGradient(var n, let frozen) = graph.nodes[writer].op,
                !n.addsResidual, !n.accumulates, n.maxPool == nil, (writers[other] ?? .max) < writer
            else { continue }
            n.accumulates = true
            result.nodes[writer].op = .batchNormGradient(n, frozen: frozen)
            result.nodes[writer].inputs.insert(other, at: n.baseOperand)
            result.nodes[writer].outputs[0] = graph.nodes[index].outputs[0]
            removed.insert(index)
            break
        }
    }
}
