import ApusGraph

/// Merges the normalization of a projected shortcut into the one at the end of its residual block, which then
/// normalizes both images as it adds them. The shortcut's normalized image is never written.
///
/// Runs after differentiation: the gradients are those of the two normalizations.
public struct ShortcutFusion {
    public init() {}

    public func callAsFunction(_ graph: Graph) -> Graph {
        let consumers = graph.consumers()
        let writers = graph.writers()
        let roots = graph.roots
        var result = graph
        for (index, node) in graph.nodes.enumerated() {
            guard case .batchNorm(var n) = node.op, n.addsResidual, !n.normalizesResidual,
                let residual = node.inputs.last, consumers[residual] == [index],
                !roots.contains(residual), let writer = writers[residual],
                graph.nodes[writer].op == .batchNorm(Normalization(epsilon: n.epsilon))
            else { continue }
            let shortcut = graph.nodes[writer]
            n.normalizesResidual = true
            result.nodes[index].op = .batchNorm(n)
            result.nodes[index].inputs.removeLast()
            result.nodes[index].inputs += shortcut.inputs + shortcut.outputs.dropFirst()
            result.nodes[writer].op = .channelMoments
            result.nodes[writer].inputs = [shortcut.inputs[0]]
            result.nodes[writer].outputs.removeFirst()
        }
        return result
    }
}
