/// Named tensors read from one file.
public struct TensorFile: Sendable {
    /// The tensors in the order in which the file lists them.
    public let tensors: [(name: String, tensor: StoredTensor)]
    /// What else the file says about itself.
    public let metadata: [String: String]

    private let positions: [String: Int]

    /// Collects `tensors`; of two with one name, lookup finds the first.
    public init(
        tensors: [(name: String, tensor: StoredTensor)], metadata: [String: String] = [:]
    ) {
        self.tensors = tensors
        self.metadata = metadata
        positions = Dictionary(
            tensors.enumerated().map { ($0.element.name, $0.offset) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The tensor of this name.
    public subscript(name: String) -> StoredTensor? { positions[name].map { tensors[$0].tensor } }

    /// The names in file order.
    public var names: [String] { tensors.map(\.name) }
}
