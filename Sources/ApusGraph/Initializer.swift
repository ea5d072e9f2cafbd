import ApusTensor

/// How a parameter starts, by the fans of its layer.
public enum Initializer: Hashable, Codable, Sendable {
    public enum Fan: String, Hashable, Codable, Sendable { case `in`, out }

    /// Normal with deviation sqrt(2 / fan) (He et al. 2015): for rectified units.
    case heNormal(Fan)
    /// Uniform with the same deviation: bound sqrt(6 / fan).
    case heUniform(Fan)
    /// Normal with deviation sqrt(2 / (fan-in + fan-out)) (Glorot and Bengio 2010).
    case xavierNormal
    /// Uniform with the same deviation: bound sqrt(6 / (fan-in + fan-out)).
    case xavierUniform
    /// Normal with deviation sqrt(1 / fan-in) (LeCun et al. 1998).
    case lecunNormal
    /// Uniform in +-sqrt(1 / fan-in): PyTorch's default of dense layers and of biases.
    case uniformFanIn
    /// Normal with this deviation, whatever the fans: the naive choice, to study what goes wrong.
    case normal(deviation: Float)
    /// One value everywhere: 0 for shifts, 1 for scales, 0 for the last scale of a residual branch
    /// ("zero-gamma", Goyal et al. 2017).
    case constant(Float)
}

/// How many inputs one output of a layer sees, and how many outputs one input reaches.
public struct Fans: Hashable, Sendable {
    public let input: Int
    public let output: Int

    /// Of a weight tensor [out, in / groups, ...].
    public init(_ shape: Shape, groups: Int = 1) {
        let area = shape.dimensions.dropFirst(2).reduce(1, *)
        input = shape.rank >= 2 ? shape[1] * area : 1
        output = shape.rank >= 2 ? shape[0] / groups * area : 1
    }
}
