import ApusTensor

/// A network as a value: its name, the image it takes and its layers. It holds no weights.
public struct Network: Hashable, Codable, Sendable {
    public var name: String
    /// One image: [channels, height, width].
    public var input: Shape
    public var layers: [Layer]

    public init(_ name: String, input: Shape, @LayerBuilder _ layers: () -> [Layer]) {
        self.name = name
        self.input = input
        self.layers = layers()
    }

    /// The graph that takes `images` [batch, channels, height, width] to `logits`.
    /// Throws a `GraphError` that names the first layer that does not fit.
    public func graph(batch: Int, mode: GraphBuilder.Mode) throws(GraphError) -> Graph {
        var builder = GraphBuilder(mode: mode)
        builder.output("logits", try lower(into: &builder, batch: batch))
        return builder.graph
    }

    /// The graph of a training step without gradients: `images` and `labels` to `logits` and `loss`.
    /// The parameters called `frozen` are not trained; see `GraphBuilder.frozen`.
    public func lossGraph(
        batch: Int, smoothing: Float = 0, frozen: Set<String> = []
    ) throws(GraphError) -> Graph {
        var builder = GraphBuilder(mode: .training, frozen: frozen)
        let logits = try lower(into: &builder, batch: batch)
        _ = try builder.crossEntropy(logits, smoothing: smoothing)
        return builder.graph
    }

    func lower(
        into builder: inout GraphBuilder, batch: Int
    ) throws(GraphError) -> ValueID {
        guard input.rank == 3, batch >= 1, input.count > 0 else {
            throw GraphError(
                path: "", problem: "needs a batch of at least one image [channels, height, width]",
                shapes: [input])
        }
        let images = builder.input("images", Shape([batch] + input.dimensions))
        return try builder.append(layers, to: images)
    }
}
