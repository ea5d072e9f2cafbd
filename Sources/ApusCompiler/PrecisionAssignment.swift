import ApusGraph
import ApusTensor

/// The number format of a program's images.
public enum Precision: String, Hashable, Codable, Sendable, CaseIterable {
    /// 32-bit floats throughout.
    case fp32
    /// Images and the weights convolutions multiply with are brain floats; everything that is summed
    /// up or kept between steps stays in 32 bits: parameters, their gradients, statistics, features
    /// and the loss.
    case bf16
}

/// Stores images in brain floats, and inserts a conversion where an operation wants what another type
/// holds.
///
/// Images of a single pixel (pooled features, the factors of squeeze-and-excitation) take no time
/// worth saving and stay in 32 bits.
public struct PrecisionAssignment {
    public init() {}

    public func callAsFunction(_ graph: Graph) throws(GraphError) -> Graph {
        var result = graph
        result.nodes = []
        var copies: [ValueID: ValueID] = [:]
        for node in graph.nodes {
            var node = node
            let type = graph.imageType(node)
            for (position, input) in node.inputs.enumerated() {
                let wanted = node.op.readsImage(position, result.shape(input)) ? type : .float32
                guard result.type(input) != wanted else { continue }
                if copies[input] == nil {
                    let copy = try result.append(.convert(wanted), [input], path: node.path)[0]
                    result.types[copy.index] = wanted
                    copies[input] = copy
                }
                node.inputs[position] = copies[input] ?? input
            }
            for (position, output) in node.outputs.enumerated() {
                let isImage = node.op.writesImage(position, result.shape(output))
                result.types[output.index] = isImage ? type : .float32
            }
            result.nodes.append(node)
        }
        // Callers read 32-bit floats.
        for (name, value) in result.gradients.sorted(by: { $0.value < $1.value })
        where result.type(value) != .float32 {
            result.gradients[name] = try result.append(.convert(.float32), [value], path: name)[0]
        }
        for (name, value) in result.outputs.sorted(by: { $0.value < $1.value })
        where result.type(value) != .float32 {
            result.outputs[name] = try result.append(.convert(.float32), [value], path: name)[0]
        }
        return result
    }
}

extension Graph {
    /// The type in which a node reads and writes its images.
    fileprivate func imageType(_ node: Node) -> DataType {
        let read = node.inputs.enumerated().filter { node.op.readsImage($0, shape($1)) }
        let written = node.outputs.enumerated().filter { node.op.writesImage($0, shape($1)) }
        let hasPixels = (read + written).contains { shape($1)[2] * shape($1)[3] > 1 }
        return hasPixels ? .bfloat16 : .float32
    }
}

extension Op {
    /// Whether the operand at `position` is an image; weights and factors of channels are not.
    fileprivate func readsImage(_ position: Int, _ shape: Shape) -> Bool {
        guard shape.rank == 4 else { return false }
        switch self {
        case .convolution, .scaleChannels:
            return position == 0
        case .convolutionInputGradient:
            return position == 0 || position == 2
        case .batchNormGradient(let n, _):
            return !(n.readsSigns && position == 5)
        case .normalizedConvolution:
            return position != 1
        case .globalAveragePoolGradient, .flatten, .scaleWeights:
            return false
        case .excitedNormGradient:
            return position <= 1
        default:
            return true
        }
    }

    /// Whether the output at `position` is an image. What is summed over pixels is not, nor is what
    /// comes from outside.
    fileprivate func writesImage(_ position: Int, _ shape: Shape) -> Bool {
        guard shape.rank == 4 else { return false }
        switch self {
        case .input, .parameter, .buffer, .constant, .convolutionWeightGradient,
            .globalAveragePool, .channelDot, .excitationSums, .scaleWeights, .unflatten:
            return false
        case .batchNorm, .normalize:
            return position == 0
        default:
            return true
        }
    }
}
