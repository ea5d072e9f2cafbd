import ApusGraph

/// Merges a normalization with given statistics into the convolution before it: in use after
/// training the two are one convolution with scaled weights and a bias.
///
/// Runs after `NormalizationFusion`, so that a residual and a rectifier come along.
public struct ConvolutionFusion {
    public init() {}

    public func callAsFunction(_ graph: Graph) -> Graph {
        let consumers = graph.consumers()
        let roots = graph.roots
        var convolutions: [ValueID: Int] = [:]
        var removed = Set<Int>()
        var result = graph
        for (index, node) in graph.nodes.enumerated() {
            switch node.op {
            case .convolution where node.inputs.count == 2:
                convolutions[node.outputs[0]] = index
            case .normalize(let n):
                guard let first = convolutions[node.inputs[0]],
                    consumers[node.inputs[0]]?.count == 1, !roots.contains(node.inputs[0]),
                    // A residual that is the convolution's own output is read twice.
                    node.inputs.filter({ $0 == node.inputs[0] }).count == 1,
                    case .convolution(let window, let groups) = graph.nodes[first].op
                else { continue }
                result.nodes[index].op = .normalizedConvolution(window, groups: groups, n)
                result.nodes[index].inputs =
                    graph.nodes[first].inputs + node.inputs.dropFirst()
                removed.insert(first)
            default:
                break
            }
        }
        result.nodes = result.nodes.indices.filter { !removed.contains($0) }
            .map { result.nodes[$0] }
        return result
    }
}
