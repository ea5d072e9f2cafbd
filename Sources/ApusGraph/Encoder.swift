import ApusTensor

extension Network {
    /// The network without its classifier: what represents an image as a vector [features].
    ///
    /// The last dense layer goes, and with it the dropout before it and a softmax behind it. The
    /// other layers keep their names, so that weights fit both. Throws a `GraphError` for a network
    /// whose remaining layers do not end in [batch, features].
    public func encoder() throws(GraphError) -> Network {
        var network = self
        network.name += "-encoder"
        while let last = network.layers.last, last.isClassifier { network.layers.removeLast() }
        let graph = try network.graph(batch: 1, mode: .inference)
        guard network.layers.count < layers.count, let features = graph.outputs["logits"],
            graph.shape(features).rank == 2
        else {
            throw GraphError(
                path: name, problem: "the network does not end in features and a dense classifier",
                shapes: graph.outputs["logits"].map { [graph.shape($0)] } ?? [])
        }
        return network
    }
}

extension Layer {
    /// Whether nothing in the layer takes part in representing an image.
    fileprivate var isClassifier: Bool {
        switch self {
        case .dense, .softmax, .dropout: true
        case .sequence(let sequence):
            !sequence.layers.isEmpty && sequence.layers.allSatisfy(\.isClassifier)
        default: false
        }
    }
}
