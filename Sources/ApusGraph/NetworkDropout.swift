extension Network {
    /// The same network without dropout and stochastic depth: a training step that depends on nothing
    /// but weights and images. Parameters keep their names.
    public func withoutDropout() -> Network {
        var network = self
        network.layers = layers.map { $0.withoutDropout() }
        return network
    }
}

extension Layer {
    /// Rates become zero; layers stay in place, as positions give names.
    fileprivate func withoutDropout() -> Layer {
        func each(_ layers: [Layer]) -> [Layer] { layers.map { $0.withoutDropout() } }
        switch self {
        case .dropout:
            return .dropout(Dropout(0))
        case .stochasticDepth:
            return .stochasticDepth(StochasticDepth(0))
        case .sequence(var layer):
            layer.layers = each(layer.layers)
            return .sequence(layer)
        case .residual(var layer):
            layer.body = each(layer.body)
            layer.shortcut = each(layer.shortcut)
            return .residual(layer)
        case .concatenate(var layer):
            layer.branches = each(layer.branches)
            return .concatenate(layer)
        case .scale(var layer):
            layer.body = each(layer.body)
            return .scale(layer)
        case .convolution, .batchNorm, .dense, .activation, .softmax, .maxPool, .averagePool,
            .globalAveragePool, .flatten, .identity, .subsamplePad:
            return self
        }
    }
}
