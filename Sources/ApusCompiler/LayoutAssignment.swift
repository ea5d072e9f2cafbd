import ApusGraph
import ApusTensor

/// Gives every image inside the graph the blocked layout of the engine's kernels, and inserts a
/// reorder where an operation cannot read what it is given, and where an output is an image.
///
/// Images that the caller fills are plain; the first convolution reads them as they are when they
/// have few channels. Weights, their gradients and all features are plain.
public struct LayoutAssignment {
    /// Channels in a block: 16 with AVX-512, 8 below.
    public let block: Int

    public init(block: Int) { self.block = block }

    public func callAsFunction(_ graph: Graph) throws(GraphError) -> Graph {
        var result = graph
        result.nodes = []
        var blockedCopies: [ValueID: ValueID] = [:]
        let layout = Layout.blocked(block)
        for node in graph.nodes {
            if case .reorder(let target) = node.op {
                result.layouts[node.outputs[0].index] = target
                result.nodes.append(node)
                continue
            }
            var node = node
            let keepsPlain = node.op.keepsPlain(node.inputs.map { result.layout($0) })
            for (position, input) in node.inputs.enumerated() {
                let shape = result.shape(input)
                guard shape.rank == 4, result.layout(input) == .plain, !keepsPlain,
                    !node.op.readsPlain(position, shape, block)
                        || needsBlocks(node, graph, result.type(input))
                else { continue }
                if blockedCopies[input] == nil {
                    let copy = try result.append(.reorder(layout), [input], path: node.path)[0]
                    result.layouts[copy.index] = layout
                    result.types[copy.index] = result.type(input)
                    blockedCopies[input] = copy
                }
                node.inputs[position] = blockedCopies[input] ?? input
            }
            for (position, output) in node.outputs.enumerated() {
                if position == node.op.signsOutput {
                    result.layouts[output.index] = .bits(block)
                    continue
                }
                let plain = keepsPlain || node.inputs.isEmpty || node.op.writesWeights
                result.layouts[output.index] =
                    result.shape(output).rank == 4 && !plain ? layout : .plain
            }
            result.nodes.append(node)
        }
        for (name, value) in result.outputs.sorted(by: { $0.value < $1.value })
        where result.layout(value) != .plain {
            let plain = try result.append(.reorder(.plain), [value], path: name)[0]
            result.types[plain.index] = result.type(value)
            result.outputs[name] = plain
        }
        for parameter in result.parameters {
            guard let gradient = result.gradients[parameter.name],
                result.layout(gradient) != .plain
            else { continue }
            result.gradients[parameter.name] =
                try result.append(.reorder(.plain), [gradient], path: parameter.name)[0]
        }
        return result
    }

    /// oneDNN has no fast weight gradient for plain brain floats and output channels that do not fill
    /// their blocks.
    private func needsBlocks(_ node: Node, _ graph: Graph, _ type: DataType) -> Bool {
        guard case .convolutionWeightGradient = node.op, type == .bfloat16 else { return false }
        return graph.shape(node.outputs[0])[0] % block != 0
    }
}

extension Op {
    /// Whether the operand at `position` is taken in plain layout: weights always, images by a
    /// first convolution, whose few channels would mostly be padding in a block. What is plain here
    /// is what oneDNN has fast kernels for.
    fileprivate func readsPlain(_ position: Int, _ shape: Shape, _ block: Int) -> Bool {
        switch self {
        case .normalizedConvolution(_, let groups, _):
            (1...5).contains(position) || (position == 0 && groups == 1 && shape[1] <= 3)
        case .convolution(_, let groups):
            position > 0 || (groups == 1 && shape[1] <= 3)
        case .convolutionWeightGradient(_, let groups, _):
            position == 0 && groups == 1 && (shape[1] == 3 || shape[1] < 3 && block == 16)
        case .convolutionInputGradient:
            position == 1
        case .scaleWeights:
            position == 0
        case .flatten:
            true
        default:
            false
        }
    }

    /// Pointwise operations take operands of any one layout.
    fileprivate func keepsPlain(_ layouts: [Layout]) -> Bool {
        switch self {
        case .activation, .activationGradient, .add, .movingAverage, .convert:
            layouts.allSatisfy { $0 == .plain }
        default:
            false
        }
    }

    fileprivate var writesWeights: Bool {
        switch self {
        case .convolutionWeightGradient, .scaleWeights: true
        default: false
        }
    }
}
