import ApusGraph
import ApusRuntime
import ApusTensor

/// Reads what layers inside a network compute.
public final class Features {
    private let session: Session
    private let shapes: [String: Shape]
    private let batch: Int
    public let parameters: ParameterStore

    /// - Parameters:
    ///   - layers: paths of layers to read, such as `layer1.0.bn2`; empty for the last alone, under the
    ///     name `logits`
    ///   - parameters: weights to use; nil draws them from `seed`
    public init(
        _ network: Network, _ layers: [String] = [], batch: Int,
        parameters: ParameterStore? = nil, seed: UInt64 = 0,
        mode: GraphBuilder.Mode = .inference, configuration: Session.Configuration
    ) throws {
        var graph = try network.graph(batch: batch, mode: mode)
        var shapes: [String: Shape] = [:]
        var taps: [(name: String, value: ValueID)] = []
        for layer in layers {
            guard
                let node = graph.nodes.last(where: {
                    $0.path == layer && !$0.inputs.isEmpty && !$0.op.isMovingAverage
                })
            else { throw LabError("\(network.name) has no layer \(layer)") }
            taps.append((layer, node.outputs[0]))
        }
        if layers.isEmpty, let last = graph.outputs["logits"] { taps.append(("logits", last)) }
        graph.outputs["logits"] = nil
        for (name, value) in taps {
            shapes[name] = graph.shape(value)
            // Results are read in plain order, which features have.
            graph.outputs[name] =
                graph.shape(value).rank == 4
                ? try graph.append(.flatten, [value], path: name + ".read")[0] : value
        }
        self.shapes = shapes
        self.batch = batch
        self.parameters = parameters ?? ParameterStore(graph, seed: seed)
        session = try Session(
            graph, parameters: self.parameters, configuration: configuration)
    }

    /// The layers' outputs for a batch of images, by path.
    public func callAsFunction(_ images: Tensor) -> [String: Tensor] {
        session.setInput("images", images.elements)
        session.run()
        return Dictionary(
            uniqueKeysWithValues: shapes.map { ($0, session.output($0).reshaped($1)) })
    }
}

extension Op {
    fileprivate var isMovingAverage: Bool {
        if case .movingAverage = self { return true }
        return false
    }
}

extension Tensor {
    /// The plane of one channel of one image.
    func plane(_ image: Int, _ channel: Int) -> [Float] {
        let size = shape[2] * shape[3]
        let start = (image * shape[1] + channel) * size
        return Array(elements[start..<start + size])
    }

    /// The Euclidean norm.
    var norm: Double {
        elements.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }

    /// The standard deviation of all elements.
    var deviation: Double {
        let count = Double(max(elements.count, 1))
        let mean = elements.reduce(0) { $0 + Double($1) } / count
        return (elements.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / count)
            .squareRoot()
    }
}
