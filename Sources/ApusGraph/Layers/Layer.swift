/// One layer of a network as a value: what it is and how it is named, without weights.
///
/// Descriptions form a tree. They are built with the types of this folder inside a result builder,
/// compared, stored in checkpoints and lowered to a `Graph`.
public indirect enum Layer: Hashable, Codable, Sendable {
    case convolution(Convolution)
    case batchNorm(BatchNorm)
    case dense(Dense)
    case activation(ActivationFunction)
    case softmax
    case maxPool(MaxPool)
    case averagePool(AveragePool)
    case globalAveragePool
    case flatten
    case identity
    case dropout(Dropout)
    case stochasticDepth(StochasticDepth)
    case subsamplePad(SubsamplePad)
    case sequence(Sequence)
    case residual(Residual)
    case concatenate(Concatenate)
    case scale(Scale)

    /// The name given to the layer. Layers without one are named by their position; an empty one
    /// makes a container's children appear under the container's own parent.
    public var name: String? {
        switch self {
        case .convolution(let layer): layer.name
        case .batchNorm(let layer): layer.name
        case .dense(let layer): layer.name
        case .sequence(let layer): layer.name
        case .residual(let layer): layer.name
        case .concatenate(let layer): layer.name
        case .scale(let layer): layer.name
        case .activation, .softmax, .maxPool, .averagePool, .globalAveragePool, .flatten,
            .identity, .dropout, .stochasticDepth, .subsamplePad:
            nil
        }
    }
}

/// Anything that can stand in a network's builder.
public protocol LayerDescription: Hashable, Codable, Sendable {
    var layer: Layer { get }
}

extension Layer: LayerDescription {
    public var layer: Layer { self }
}

/// Collects the layers of a network, with `if` and `for`.
@resultBuilder
public enum LayerBuilder {
    public static func buildExpression(_ description: some LayerDescription) -> [Layer] {
        [description.layer]
    }
    public static func buildExpression(_ descriptions: [Layer]) -> [Layer] { descriptions }
    public static func buildBlock(_ parts: [Layer]...) -> [Layer] { parts.flatMap(\.self) }
    public static func buildArray(_ parts: [[Layer]]) -> [Layer] { parts.flatMap(\.self) }
    public static func buildOptional(_ part: [Layer]?) -> [Layer] { part ?? [] }
    public static func buildEither(first: [Layer]) -> [Layer] { first }
    public static func buildEither(second: [Layer]) -> [Layer] { second }
}
