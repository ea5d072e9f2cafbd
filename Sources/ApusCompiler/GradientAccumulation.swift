import ApusGraph

/// Leaves the sum of two gradients to the pass that reads or writes them: the gradient of a
/// normalization adds what arrives in two parts as it reads it, or adds its own to what is there.
///
/// Runs after differentiation.
public struct GradientAccumulation {
    public init() {}

    public func callAsFunction(_ graph: Graph) -> Graph {
        let consumers = graph.consumers()
        let roots = graph.roots
        var writers: [ValueID: Int] = [:]
        for (index, node) in graph.nodes.enumerated() {
            for output in node.outputs { writers[output] = index }
        }
        /// The only node that reads a value which nothing outside the graph reads.
        func onlyReader(_ value: ValueID) -> Int? {
            guard let users = consumers[value], users.count == 1, !roots.contains(value) else {
                return nil
            }
            return users[0]
        }

        var result = graph
        var removed = Set<Int>()
        for (index, node) in graph.nodes.enumerated() {
            guard node.op == .add, node.inputs[0] != node.inputs[1] else { continue }
            if let reader = onlyReader(node.outputs[0]),
                case .batchNormGradient(var n, let frozen) = graph.nodes[reader].op,
                n.addsResidual, graph.nodes[reader].inputs[1] == node.outputs[0]
            {
                n.sumsGradients = true
                result.nodes[reader].op = .batchNormGradient(n, frozen: frozen)
                result.nodes[reader].inputs[1] = node.inputs[0]
                result.nodes[reader].inputs.insert(node.inputs[1], at: n.secondGradientOperand)
                removed.insert(index)
                continue
            }
            for (term, other) in [(1, 0), (0, 1)] {
                guard let writer = writers[node.inputs[term]],
                    onlyReader(node.inputs[term]) == index,
                    graph.nodes[writer].outputs[0] == node.inputs[term],
                    case .batchNormGradient(var n, let frozen) = graph.nodes[writer].op,
                    !n.addsResidual, !n.accumulates,
                    (writers[node.inputs[other]] ?? .max) < writer
                else { continue }
                n.accumulates = true
                result.nodes[writer].op = .batchNormGradient(n, frozen: frozen)
                result.nodes[writer].inputs.insert(node.inputs[other], at: n.baseOperand)
                result.nodes[writer].outputs[0] = node.outputs[0]
                removed.insert(index)
                break
            }
        }
        result.nodes = result.nodes.indices.filter { !removed.contains($0) }
            .map { result.nodes[$0] }
        return result
    }
}
