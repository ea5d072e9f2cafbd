import ApusGraph

/// Merges a normalization into the 1x1 convolutions that read it: they normalize what they read on the way, a
/// part at a time that stays in the caches, and the normalized image is never written. That saves two of three
/// passes over memory for narrow convolutions of wide images, as in dense blocks (Huang et al. 2017).
///
/// Runs last: what is computed again for the gradients is merged as well, and images that are the first channels of
/// wider ones are known.
public struct InputNormalization {
    /// Channels in a block of the layout that the kernels read.
    let block: Int

    public init(block: Int) { self.block = block }

    public func callAsFunction(_ graph: Graph) -> Graph {
        let consumers = graph.consumers()
        let roots = graph.roots
        var result = graph
        for (index, node) in graph.nodes.enumerated() {
            guard let n = node.op.normalization, n.isPlain,
                node.outputs.count == node.op.plainOutputs,
                !roots.contains(node.outputs[0]), let readers = consumers[node.outputs[0]],
                readers.allSatisfy({ canNormalize(graph.nodes[$0], node.outputs[0], graph) })
            else { continue }
            var statistics = node.inputs.dropFirst(3)
            if case .batchNorm = node.op { statistics = node.outputs.dropFirst() }
            let vectors = node.inputs[1...2] + statistics
            for reader in readers {
                // The image again, and behind the other operand what it is normalized with.
                result.nodes[reader].op = result.nodes[reader].op.normalizing(n)
                result.nodes[reader].inputs[0] = node.inputs[0]
                result.nodes[reader].inputs += vectors
            }
            if case .batchNorm = node.op {
                result.nodes[index].op = .channelMoments
                result.nodes[index].inputs = [node.inputs[0]]
                result.nodes[index].outputs.removeFirst()
            }
        }
        result.removeDeadNodes()
        return result
    }

    /// Whether a reader of the image is a 1x1 convolution that reads it once, or its weight gradient.
    private func canNormalize(_ node: Node, _ image: ValueID, _ graph: Graph) -> Bool {
        guard node.inputs.count == 2, node.outputs.count == 1, node.inputs[0] == image,
            node.inputs[1] != image, graph.layout(image) == .blocked(block)
        else { return false }
        switch node.op {
        case .convolution(let window, groups: 1):
            return window == Window(kernel: Size(1))
                && graph.layout(node.outputs[0]) == .blocked(block)
        case .convolutionWeightGradient(let window, groups: 1, bias: false):
            return window == Window(kernel: Size(1))
                && graph.layout(node.inputs[1]) == .blocked(block)
        default:
            return false
        }
    }
}

extension Normalization {
    /// Whether it does nothing else but rectify.
    fileprivate var isPlain: Bool {
        (activation == nil || activation == .relu) && !addsResidual && maxPool == nil && !savesSigns
            && !pools
    }
}

extension Op {
    /// The outputs of a normalization that does nothing else.
    fileprivate var plainOutputs: Int { if case .batchNorm = self { 3 } else { 1 } }

    /// A convolution or its weight gradient of a normalized image.
    fileprivate func normalizing(_ n: Normalization) -> Op {
        switch self {
        case .convolution(let window, _): .convolutionOfNormalized(window, n)
        case .convolutionWeightGradient(let window, _, _): .weightGradientOfNormalized(window, n)
        default: self
        }
    }
}
