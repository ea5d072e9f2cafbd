/// A fully connected layer on features [N, C]; images must be flattened or pooled before.
public struct Dense: LayerDescription {
    public var name: String?
    public var features: Int
    public var bias: Bool
    public var initializer: Initializer

    public init(
        _ name: String?, _ features: Int, bias: Bool = true,
        initializer: Initializer = .uniformFanIn
    ) {
        self.name = name
        self.features = features
        self.bias = bias
        self.initializer = initializer
    }

    /// A layer named by its position.
    public init(
        _ features: Int, bias: Bool = true, initializer: Initializer = .uniformFanIn
    ) {
        self.init(nil, features, bias: bias, initializer: initializer)
    }

    public var layer: Layer { .dense(self) }
}
