/// The extent of a tensor in every dimension, outermost first.
///
/// Images are `[batch, channels, height, width]`, features `[batch, channels]`, convolution
/// weights `[out, in / groups, height, width]`.
public struct Shape: Hashable, Sendable {
    public var dimensions: [Int]

    public init(_ dimensions: [Int]) {
        precondition(dimensions.allSatisfy { $0 >= 0 }, "negative dimension in \(dimensions)")
        self.dimensions = dimensions
    }

    /// The number of dimensions.
    public var rank: Int { dimensions.count }

    /// The number of elements: the product of all dimensions, 1 for a scalar.
    public var count: Int { dimensions.reduce(1, *) }

    public subscript(dimension: Int) -> Int { dimensions[dimension] }
}

extension Shape: ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: Int...) { self.init(elements) }
}

extension Shape: CustomStringConvertible {
    public var description: String {
        rank == 0 ? "scalar" : dimensions.map(String.init).joined(separator: "x")
    }
}

/// A shape is stored as a plain list of numbers.
extension Shape: Codable {
    public init(from decoder: any Decoder) throws {
        let dimensions = try decoder.singleValueContainer().decode([Int].self)
        guard dimensions.allSatisfy({ $0 >= 0 }) else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "negative dimension in \(dimensions)"))
        }
        self.dimensions = dimensions
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(dimensions)
    }
}
