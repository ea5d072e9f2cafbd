import ApusGraph
import ApusTensor

/// Keeps a chain of concatenations, each of which appends to the one before, in one image: every part
/// is written once, its statistics are computed once, and normalizations read the first channels of
/// the whole. Their gradients are added up in one image likewise. This is what dense blocks are made
/// of (Huang et al. 2017).
///
/// Runs last: what lies in another value is known by layout and by order. Appended channels must fill
/// whole blocks.
public struct ConcatenationSharing {
    /// Channels in a block.
    public let block: Int

    public init(block: Int) { self.block = block }

    public func callAsFunction(_ graph: Graph) throws(GraphError) -> Graph {
        var result = graph
        result.hosts = hosts(graph)
        let forward = Set(result.hosts.keys)
        result.hosts.merge(gradientHosts(graph)) { own, _ in own }
        try shareStatistics(&result, of: forward)
        return result
    }

    /// For every concatenation that another one appends to, the last of its chain.
    func hosts(_ graph: Graph) -> [ValueID: ValueID] {
        let consumers = graph.consumers()
        let roots = graph.roots
        var hosts: [ValueID: ValueID] = [:]
        let concatenations = Set(
            graph.nodes.filter { $0.op == .concatenate }.map { $0.outputs[0] })
        // From the last of a chain to the first.
        for (index, node) in graph.nodes.enumerated().reversed() where node.op == .concatenate {
            let part = node.inputs[0]
            guard concatenations.contains(part), !roots.contains(part), hosts[part] == nil,
                graph.shape(part)[1] % block == 0, graph.shape(node.outputs[0])[1] % block == 0,
                !node.inputs.dropFirst().contains(part),
                (consumers[part] ?? []).allSatisfy({
                    $0 == index || graph.nodes[$0].readsPart(part)
                })
            else { continue }
            hosts[part] = hosts[node.outputs[0]] ?? node.outputs[0]
        }
        return hosts
    }

    /// For every gradient of such a concatenation, the gradient of the whole: each is the front of the one
    /// before, to which a normalization adds its own.
    private func gradientHosts(_ graph: Graph) -> [ValueID: ValueID] {
        let consumers = graph.consumers()
        let roots = graph.roots
        var hosts: [ValueID: ValueID] = [:]
        for (index, node) in graph.nodes.enumerated() {
            guard case .slice(0, let count) = node.op, count % block == 0,
                graph.shape(node.inputs[0])[1] % block == 0
            else { continue }
            let (whole, part) = (node.inputs[0], node.outputs[0])
            guard let users = consumers[part], users.count == 1, !roots.contains(part),
                !roots.contains(whole),
                case .batchNormGradient(let n, _) = graph.nodes[users[0]].op, n.accumulates,
                graph.nodes[users[0]].inputs[n.baseOperand] == part,
                graph.nodes[users[0]].inputs.filter({ $0 == part }).count == 1
            else { continue }
            let sum = graph.nodes[users[0]].outputs[0]
            // Nothing may read the whole once its front has changed, nor a sum that is no whole image
            // unless it knows how.
            guard (consumers[whole] ?? []).allSatisfy({ $0 < users[0] }), !roots.contains(sum),
                (consumers[whole] ?? []).contains(index),
                (consumers[sum] ?? []).allSatisfy({ graph.nodes[$0].op.isSlice })
            else { continue }
            let host = hosts[whole] ?? whole
            hosts[part] = host
            hosts[sum] = host
        }
        return hosts
    }

    /// Batch norms of a shared image normalize with the statistics of its parts.
    private func shareStatistics(
        _ graph: inout Graph, of parts: Set<ValueID>
    ) throws(GraphError) {
        let shared = parts.union(parts.compactMap { graph.hosts[$0] })
        var moments = Moments()
        for node in graph.nodes where node.op == .concatenate && shared.contains(node.outputs[0]) {
            moments.parts[node.outputs[0]] = node.inputs
        }
        var renamed: [ValueID: ValueID] = [:]
        let nodes = graph.nodes
        graph.nodes = []
        for node in nodes {
            var node = node
            node.inputs = node.inputs.map { renamed[$0] ?? $0 }
            if case .batchNorm(let n) = node.op {
                if moments.parts[node.inputs[0]] == nil {
                    moments.known[node.inputs[0]] = Array(node.outputs[1...2])
                } else {
                    let known = try moments.find(node.inputs[0], &graph, path: node.path)
                    for (own, value) in zip(node.outputs.dropFirst(), known) {
                        renamed[own] = value
                    }
                    node.op = .normalize(n)
                    node.inputs.insert(contentsOf: known, at: 3)
                    node.outputs.removeSubrange(1...2)
                }
            }
            graph.nodes.append(node)
        }
    }
}

/// Mean and variance of images, those of a concatenation joined from its parts'.
private struct Moments {
    var parts: [ValueID: [ValueID]] = [:]
    var known: [ValueID: [ValueID]] = [:]

    mutating func find(
        _ image: ValueID, _ graph: inout Graph, path: String
    ) throws(GraphError) -> [ValueID] {
        if let found = known[image] { return found }
        var found: [ValueID] = []
        if let parts = parts[image] {
            for part in parts {
                let next = try find(part, &graph, path: path)
                if found.isEmpty {
                    found = next
                } else {
                    found = [
                        try graph.append(.joinVectors, [found[0], next[0]], path: path)[0],
                        try graph.append(.joinVectors, [found[1], next[1]], path: path)[0],
                    ]
                }
            }
        } else {
            found = try graph.append(.channelMoments, [image], path: path)
        }
        known[image] = found
        return found
    }
}

extension Node {
    /// Whether it can read an image that is the first channels of another in memory.
    fileprivate func readsPart(_ value: ValueID) -> Bool {
        guard inputs.first == value, inputs.filter({ $0 == value }).count == 1 else { return false }
        switch op {
        case .batchNorm(let n), .normalize(let n): return n.maxPool == nil
        case .batchNormGradient(let n, _): return !n.sumsGradients && n.maxPool == nil
        default: return false
        }
    }
}

extension Op {
    fileprivate var isSlice: Bool {
        if case .slice = self { true } else { false }
    }
}
