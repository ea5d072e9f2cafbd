/// Layers one after the other.
public struct Sequence: LayerDescription {
    public var name: String?
    public var layers: [Layer]

    public init(_ name: String? = nil, @LayerBuilder _ layers: () -> [Layer]) {
        self.name = name
        self.layers = layers()
    }

    public var layer: Layer { .sequence(self) }
}

/// H(x) = F(x) + shortcut(x) (He et al. 2015); an empty shortcut is the identity.
public struct Residual: LayerDescription {
    public var name: String?
    public var body: [Layer]
    public var shortcut: [Layer]

    public init(
        _ name: String? = nil, @LayerBuilder _ body: () -> [Layer],
        @LayerBuilder shortcut: () -> [Layer] = { [] }
    ) {
        self.name = name
        self.body = body()
        self.shortcut = shortcut()
    }

    public var layer: Layer { .residual(self) }
}

/// Every branch sees the input; their outputs are joined along the channels.
public struct Concatenate: LayerDescription {
    public var name: String?
    public var branches: [Layer]

    public init(_ name: String? = nil, @LayerBuilder _ branches: () -> [Layer]) {
        self.name = name
        self.branches = branches()
    }

    public var layer: Layer { .concatenate(self) }
}

/// Multiplies every channel of the input by the body's output [N, C, 1, 1]: squeeze-and-excitation
/// (Hu et al. 2017) with a body of pooling, two 1x1 convolutions and a sigmoid.
public struct Scale: LayerDescription {
    public var name: String?
    public var body: [Layer]

    public init(_ name: String? = nil, @LayerBuilder _ body: () -> [Layer]) {
        self.name = name
        self.body = body()
    }

    public var layer: Layer { .scale(self) }
}
