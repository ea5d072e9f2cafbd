import ApusGraph

/// Merges pointwise operations into the normalization before them:
/// batch norm (+ residual add) (+ relu) becomes one node, hence one pass over memory.
///
/// The pass runs before differentiation, so that the gradient of the merged node is the merged
/// gradient.
public struct NormalizationFusion {
    public init() {}

    public func callAsFunction(_ graph: Graph) -> Graph {
        let consumers = graph.consumers()
        let roots = graph.roots
        /// The only node that reads a value which nothing outside the graph reads.
        func onlyReader(_ value: ValueID) -> Int? {
            guard let users = consumers[value], users.count == 1, !roots.contains(value) else {
                return nil
            }
            return users[0]
        }

        /// What stands in a node's place, where that is not the node itself.
        var replaced: [Int: [Node]] = [:]
        for (index, node) in graph.nodes.enumerated() {
            guard var n = node.op.normalization, !n.rectified else { continue }
            let statistics = node.outputs.dropFirst()
            let averages = statistics.flatMap { consumers[$0] ?? [] }
            guard averages.allSatisfy({ isMovable(graph.nodes[$0], consumers, replaced[$0]) })
            else { continue }

            var merged = node
            var absorbed = [index]
            // A residual first, then the activation after the sum.
            if !n.addsResidual, let add = onlyReader(merged.outputs[0]), replaced[add] == nil,
                graph.nodes[add].op == .add
            {
                let sum = graph.nodes[add]
                let others = sum.inputs.filter { $0 != merged.outputs[0] }
                guard others.count == 1 else { continue }
                n.addsResidual = true
                merged.inputs += others
                merged.outputs[0] = sum.outputs[0]
                absorbed.append(add)
            }
            if let relu = onlyReader(merged.outputs[0]),
                graph.nodes[relu].op == .activation(.relu)
            {
                n.rectified = true
                merged.outputs[0] = graph.nodes[relu].outputs[0]
                absorbed.append(relu)
            }
            guard let last = absorbed.last, last > index else { continue }
            merged.op = node.op.replacing(n)

            // The merged node takes the last place; averages in between move behind it.
            let moved = averages.filter { $0 < last }
            for other in absorbed + moved { replaced[other] = [] }
            replaced[last] = [merged] + moved.map { graph.nodes[$0] }
        }
        var result = graph
        result.nodes = graph.nodes.enumerated().flatMap { replaced[$0.offset] ?? [$0.element] }
        return result
    }

    /// Whether a reader of the batch's statistics can run later: a moving average nobody reads.
    private func isMovable(
        _ node: Node, _ consumers: [ValueID: [Int]], _ replacement: [Node]?
    ) -> Bool {
        guard case .movingAverage = node.op, replacement == nil else { return false }
        return consumers[node.outputs[0]] == nil
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
