import ApusGraph

/// Merges squeeze-and-excitation into the normalization before it (Hu et al. 2018): the mean over
/// pixels is summed by the pass that writes the normalized image, and the gradients of the scaled image
/// and of the mean meet inside the normalization's gradient.
///
/// With z = y * s the gradient of y is dz * s + dpooled / (H W). Separately that is a scaled image, a
/// constant one, their sum, and a product for the gate: nine passes over the image besides the
/// normalization's own. Merged there is none, and y is read by nobody after the forward pass.
///
/// In use after training a single image is not scaled at all where the 1x1 convolution behind has fewer
/// weights: these are scaled instead.
///
/// Runs after differentiation, before gradients are accumulated.
public struct ExcitationFusion {
    public init() {}

    public func callAsFunction(_ graph: Graph) throws(GraphError) -> Graph {
        var result = graph
        var removed = Set<Int>()
        pool(&result, &removed)
        try mergeGradients(&result, &removed)
        result.nodes = result.nodes.indices.filter { !removed.contains($0) }
            .map { result.nodes[$0] }
        if graph.gradients.isEmpty { scaleWeights(&result) }
        return result
    }

    /// Lets normalizations yield the means of their results.
    private func pool(_ graph: inout Graph, _ removed: inout Set<Int>) {
        let writers = graph.writers()
        for (index, node) in graph.nodes.enumerated() where node.op == .globalAveragePool {
            guard let writer = writers[node.inputs[0]],
                graph.nodes[writer].outputs[0] == node.inputs[0],
                var n = graph.nodes[writer].op.normalization, !n.pools, n.maxPool == nil
            else { continue }
            n.pools = true
            graph.nodes[writer].op = graph.nodes[writer].op.replacing(n)
            graph.nodes[writer].outputs.append(node.outputs[0])
            removed.insert(index)
        }
    }

    private func scaleWeights(_ graph: inout Graph) {
        let roots = graph.roots
        for scale in graph.nodes where scale.op == .scaleChannels {
            let (image, factors, scaled) = (scale.inputs[0], scale.inputs[1], scale.outputs[0])
            let readers = graph.consumers()[scaled] ?? []
            guard graph.shape(image)[0] == 1, readers.count == 1, !roots.contains(scaled),
                graph.nodes[readers[0]].op.isDenseOneByOne,
                graph.nodes[readers[0]].inputs.lastIndex(of: scaled) == 0
            else { continue }
            let weights = graph.nodes[readers[0]].inputs[1]
            // They are scaled, folded and brought into the kernel's layout again for every image.
            guard 2 * graph.shape(weights).count <= graph.shape(image).count else { continue }
            let result = graph.newValue(graph.shape(weights))
            graph.nodes[readers[0]].inputs[0] = image
            graph.nodes[readers[0]].inputs[1] = result
            // Where the convolution reads its weights the factors are known, too.
            var moved = scale
            moved.op = .scaleWeights
            moved.inputs = [weights, factors]
            moved.outputs = [result]
            graph.nodes.insert(moved, at: readers[0])
            graph.nodes.removeAll { $0.outputs == [scaled] }
        }
    }

    private func mergeGradients(
        _ graph: inout Graph, _ removed: inout Set<Int>
    ) throws(GraphError) {
        let writers = graph.writers()
        let consumers = graph.consumers()
        let roots = graph.roots
        /// The node that writes a value which one other node alone reads.
        func writer(_ value: ValueID) -> Int? {
            consumers[value]?.count == 1 && !roots.contains(value) ? writers[value] : nil
        }
        for (index, node) in graph.nodes.enumerated() {
            guard case .batchNormGradient(let n, let frozen) = node.op, !n.addsResidual,
                n.maxPool == nil, let add = writer(node.inputs[1]), graph.nodes[add].op == .add,
                let scale = writer(graph.nodes[add].inputs[0]),
                graph.nodes[scale].op == .scaleChannels,
                let spread = writer(graph.nodes[add].inputs[1]),
                case .globalAveragePoolGradient = graph.nodes[spread].op,
                let dot = graph.gateGradient(
                    of: graph.nodes[scale].inputs[0], behind: node, consumers, writers),
                let forward = writers[graph.nodes[dot].inputs[1]]
            else { continue }
            let (x, dz) = (node.inputs[0], graph.nodes[scale].inputs[0])
            let (gamma, mean, variance) = (node.inputs[2], node.inputs[3], node.inputs[4])
            let beta = graph.nodes[forward].inputs[2]
            let sums = (0..<4).map { _ in graph.newValue(graph.shape(graph.nodes[dot].outputs[0])) }
            graph.nodes[dot].op = .excitationSums(n)
            graph.nodes[dot].inputs = [x, dz, gamma, beta, mean, variance]
            graph.nodes[dot].outputs += sums
            graph.nodes[index].op = .excitedNormGradient(n, frozen: frozen)
            graph.nodes[index].inputs =
                [x, dz, gamma, mean, variance, beta, graph.nodes[scale].inputs[1]]
                + graph.nodes[spread].inputs + sums
            removed.formUnion([add, scale, spread])
        }
    }
}

extension Op {
    /// Whether it is a 1x1 convolution in which every output sees all inputs.
    fileprivate var isDenseOneByOne: Bool {
        switch self {
        case .convolution(let window, let groups),
            .normalizedConvolution(let window, let groups, _):
            window.kernel == Size(1) && window.padding == Edges(0) && groups == 1
        default: false
        }
    }
}

extension Graph {
    func writers() -> [ValueID: Int] {
        var writers: [ValueID: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for output in node.outputs { writers[output] = index }
        }
        return writers
    }

    /// The product of `dz` with the result of the normalization whose gradient `node` is.
    fileprivate func gateGradient(
        of dz: ValueID, behind node: Node, _ consumers: [ValueID: [Int]],
        _ writers: [ValueID: Int]
    ) -> Int? {
        consumers[dz]?.first { reader in
            guard nodes[reader].op == .channelDot, nodes[reader].inputs[0] == dz,
                let forward = writers[nodes[reader].inputs[1]],
                nodes[forward].op.normalization != nil,
                nodes[forward].outputs[0] == nodes[reader].inputs[1]
            else { return false }
            return nodes[forward].inputs[0] == node.inputs[0]
                && nodes[forward].inputs[1] == node.inputs[2]
        }
    }
}
