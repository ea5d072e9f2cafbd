import ApusGraph

/// What stands between the representation that is used later, h, and the projection that the loss
/// sees, z: it may throw away what h keeps (Chen et al. 2020, section 4.2).
public enum ProjectionHead: Hashable, Sendable {
    /// z = h
    case identity
    case linear(dimension: Int)
    /// So many dense layers, 1 to 3, with batch norm and a rectifier between them; SimCLR's is of 2.
    case mlp(layers: Int, width: Int, dimension: Int)

    /// Names of `named`.
    public static let names = ["identity", "linear", "mlp-1", "mlp-2", "mlp-3"]

    /// A head by its name; throws a `TrainingError` for others.
    public static func named(
        _ name: String, width: Int, dimension: Int
    ) throws -> ProjectionHead {
        switch name {
        case "identity": return .identity
        case "linear", "mlp-1": return .linear(dimension: dimension)
        case "mlp-2": return .mlp(layers: 2, width: width, dimension: dimension)
        case "mlp-3": return .mlp(layers: 3, width: width, dimension: dimension)
        default:
            throw TrainingError(
                "'\(name)' is not a head; use one of \(names.joined(separator: ", "))")
        }
    }

    /// The head as a network that takes features [features, 1, 1]. Dense layers in front of a batch
    /// norm have no bias, which the norm would take away.
    public func network(features: Int, name: String = "head") -> Network {
        Network(name, input: [features, 1, 1]) {
            Flatten()
            switch self {
            case .identity:
                Identity()
            case .linear(let dimension):
                Dense("dense1", dimension)
            case .mlp(let layers, let width, let dimension):
                for index in 1..<max(layers, 1) {
                    Dense("dense\(index)", width, bias: false)
                    BatchNorm("norm\(index)")
                    Activation(.relu)
                }
                Dense("dense\(layers)", dimension)
            }
        }
    }
}
