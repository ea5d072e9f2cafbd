/// Batch normalization with trained scale and shift (Ioffe and Szegedy 2015), of images or features.
public struct BatchNorm: LayerDescription {
    public var name: String?
    /// Added to the variance.
    public var epsilon: Float
    /// The weight of a new batch in the running statistics, as PyTorch counts.
    public var momentum: Float
    /// Where the scale starts: 1, or 0 for the last of a residual branch.
    public var scale: Initializer

    public init(
        _ name: String? = nil, epsilon: Float = 1e-5, momentum: Float = 0.1,
        scale: Initializer = .constant(1)
    ) {
        self.name = name
        self.epsilon = epsilon
        self.momentum = momentum
        self.scale = scale
    }

    public var layer: Layer { .batchNorm(self) }
}
