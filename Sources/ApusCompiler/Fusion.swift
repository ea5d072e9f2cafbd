import ApusGraph

/// Merges pointwise operations into the normalization before them:
/// batch norm (+ residual add) (+ relu) becomes one node, hence one pass over memory.
///
/// The pass runs before differentiation, so that the gradient of the merged node is the merged
/// gradient.
public struct NormalizationFusion {
    public init() {}

    public func callAsFunction(_ graph: Graph) -> Graph {
        var graph = graph
        // A residual first, then the activation after the sum.
        while let (norm, add) = findAdd(graph) { fuseAdd(&graph, norm, add) }
        while let (norm, relu) = findReLU(graph) { fuseReLU(&graph, norm, relu) }
        return graph
    }

    /// The index of the only node that reads a value which nothing outside the graph reads.
    private func onlyConsumer(
        _ value: ValueID, _ consumers: [ValueID: [Int]], _ roots: Set<ValueID>
    ) -> Int? {
        guard let users = consumers[value], users.count == 1, !roots.contains(value) else {
            return nil
        }
        return users[0]
    }

    private func findAdd(_ graph: Graph) -> (Int, Int)? {
        let consumers = graph.consumers()
        let roots = graph.roots
        for (index, node) in graph.nodes.enumerated() {
            guard let n = node.op.normalization, !n.addsResidual, !n.rectified,
                let user = onlyConsumer(node.outputs[0], consumers, roots),
                graph.nodes[user].op == .add,
                graph.nodes[user].inputs[0] != graph.nodes[user].inputs[1]
            else { continue }
            return (index, user)
        }
        return nil
    }

    private func findReLU(_ graph: Graph) -> (Int, Int)? {
        let consumers = graph.consumers()
        let roots = graph.roots
        for (index, node) in graph.nodes.enumerated() {
            guard let n = node.op.normalization, !n.rectified,
                let user = onlyConsumer(node.outputs[0], consumers, roots),
                graph.nodes[user].op == .activation(.relu)
            else { continue }
            return (index, user)
        }
        return nil
    }

    private func fuseAdd(_ graph: inout Graph, _ norm: Int, _ add: Int) {
        var node = graph.nodes[norm]
        guard var n = node.op.normalization else { return }
        let sum = graph.nodes[add]
        n.addsResidual = true
        node.op = node.op.replacing(n)
        node.inputs.append(sum.inputs[0] == node.outputs[0] ? sum.inputs[1] : sum.inputs[0])
        node.outputs[0] = sum.outputs[0]
        replace(&graph, norm, add, with: node)
    }

    private func fuseReLU(_ graph: inout Graph, _ norm: Int, _ relu: Int) {
        var node = graph.nodes[norm]
        guard var n = node.op.normalization else { return }
        n.rectified = true
        node.op = node.op.replacing(n)
        node.outputs[0] = graph.nodes[relu].outputs[0]
        replace(&graph, norm, relu, with: node)
    }

    /// Puts the merged node in the later node's place; what read the statistics in between moves
    /// behind it.
    private func replace(_ graph: inout Graph, _ first: Int, _ last: Int, with node: Node) {
        let moved = (first + 1..<last).filter { index in
            graph.nodes[index].inputs.contains { node.outputs.contains($0) }
        }
        let movedNodes = moved.map { graph.nodes[$0] }
        graph.nodes[last] = node
        graph.nodes.insert(contentsOf: movedNodes, at: last + 1)
        for index in ([first] + moved).reversed() { graph.nodes.remove(at: index) }
    }
}

extension Op {
    /// The attributes of a forward normalization.
    var normalization: Normalization? {
        switch self {
        case .batchNorm(let n), .normalize(let n): n
        default: nil
        }
    }

    func replacing(_ n: Normalization) -> Op {
        if case .batchNorm = self { .batchNorm(n) } else { .normalize(n) }
    }
}
