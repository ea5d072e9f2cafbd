/// A dense array of 32-bit floats on the host, in row-major order: what goes into and comes out of
/// a session, a file or a data set. Inside the engine values live in an arena instead.
public struct Tensor: Hashable, Sendable {
    public let shape: Shape
    public var elements: [Float]

    /// Wraps `elements`, whose number must be `shape.count`.
    public init(_ shape: Shape, _ elements: [Float]) {
        precondition(
            shape.count == elements.count, "\(elements.count) elements do not fill \(shape)")
        self.shape = shape
        self.elements = elements
    }

    public init(_ shape: Shape, repeating value: Float = 0) {
        self.shape = shape
        self.elements = [Float](repeating: value, count: shape.count)
    }

    /// The same elements under another shape of the same count.
    public func reshaped(_ shape: Shape) -> Tensor { Tensor(shape, elements) }
}
