/// How the elements of a value lie in memory.
public enum Layout: Hashable, Codable, Sendable {
    /// Row-major over the logical dimensions.
    case plain
    /// Channels in blocks of this many: `[batch, ceil(channels / block), height, width, block]`
    /// (oneDNN's nChw16c and nChw8c). Lanes past the last channel hold zero.
    case blocked(Int)
    /// One bit an element in the order of `blocked`, in as many 32-bit words as they need: whether it is not zero.
    case bits(Int)

    /// Elements that a value of `shape` takes in this layout, padding included.
    public func storageCount(_ shape: Shape) -> Int {
        switch self {
        case .plain:
            return shape.count
        case .blocked(let block):
            precondition(shape.rank == 4, "only images are blocked, not \(shape)")
            return shape[0] * shape[1].roundedUp(to: block) * shape[2] * shape[3]
        case .bits(let block):
            return Layout.blocked(block).storageCount(shape).dividedRoundingUp(by: 32)
        }
    }
}

extension Layout: CustomStringConvertible {
    public var description: String {
        switch self {
        case .plain: "plain"
        case .blocked(let block): "nChw\(block)c"
        case .bits(let block): "nChw\(block)c bits"
        }
    }
}

extension Int {
    /// The quotient by `divisor`, rounded up.
    public func dividedRoundingUp(by divisor: Int) -> Int { (self + divisor - 1) / divisor }

    /// The smallest multiple of `divisor` that is not below this number.
    public func roundedUp(to divisor: Int) -> Int { (self + divisor - 1) / divisor * divisor }
}
