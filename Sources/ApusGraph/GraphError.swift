import ApusTensor

/// A network that does not fit together: where, why, and the shapes involved.
public struct GraphError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The layer's path, such as `layer1.0.conv1`.
    public let path: String
    /// What is wrong, without the path and shapes.
    public let problem: String
    /// The shapes of the operands, in order.
    public let shapes: [Shape]

    public init(path: String, problem: String, shapes: [Shape]) {
        self.path = path
        self.problem = problem
        self.shapes = shapes
    }

    public var description: String {
        let where_ = path.isEmpty ? "the network" : "layer \(path)"
        let operands = shapes.map(\.description).joined(separator: " and ")
        return "\(where_): \(problem)" + (shapes.isEmpty ? "" : " (\(operands))")
    }
}
