/// A pointwise nonlinearity.
public struct Activation: LayerDescription {
    public var function: ActivationFunction
    public init(_ function: ActivationFunction) { self.function = function }
    public var layer: Layer { .activation(function) }
}

/// Probabilities from logits. Not for training: the loss takes logits.
public struct Softmax: LayerDescription {
    public init() {}
    public var layer: Layer { .softmax }
}

/// [N, C, H, W] -> [N, C * H * W]; features stay as they are.
public struct Flatten: LayerDescription {
    public init() {}
    public var layer: Layer { .flatten }
}

/// Passes its input on: the branch of a concatenation that keeps what came before.
public struct Identity: LayerDescription {
    public init() {}
    public var layer: Layer { .identity }
}

/// Zeroes elements while training (Srivastava et al. 2014).
public struct Dropout: LayerDescription {
    /// The probability of zeroing, in 0..<1.
    public var rate: Float
    public init(_ rate: Float) { self.rate = rate }
    public var layer: Layer { .dropout(self) }
}

/// Zeroes whole samples while training (Huang et al. 2016): the last layer of a residual branch.
public struct StochasticDepth: LayerDescription {
    /// The probability of zeroing, in 0..<1.
    public var rate: Float
    public init(_ rate: Float) { self.rate = rate }
    public var layer: Layer { .stochasticDepth(self) }
}
