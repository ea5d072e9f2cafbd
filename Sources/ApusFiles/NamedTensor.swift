import ApusTensor
import Foundation

/// A tensor to be written, without a copy of its elements.
public struct NamedTensor: Sendable {
    /// Calls the given closure, once or several times, with the raw little-endian elements.
    public typealias Provider =
        @Sendable (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

    public let name: String
    public let dataType: DataType
    public let shape: Shape
    let provider: Provider

    /// Elements that `provider` hands out when the file is written, in one piece or in several.
    public init(
        _ name: String, dataType: DataType, shape: Shape, provider: @escaping Provider
    ) {
        self.name = name
        self.dataType = dataType
        self.shape = shape
        self.provider = provider
    }

    /// Floats.
    public init(_ name: String, _ tensor: Tensor) {
        self.init(name, dataType: .float32, shape: tensor.shape) { write in
            try tensor.elements.withUnsafeBytes { try write($0) }
        }
    }

    /// A list of 64-bit integers.
    public init(_ name: String, _ integers: [Int64]) {
        self.init(name, dataType: .int64, shape: [integers.count]) { write in
            try integers.withUnsafeBytes { try write($0) }
        }
    }

    /// A list of bytes.
    public init(_ name: String, _ bytes: [UInt8]) {
        self.init(name, dataType: .uint8, shape: [bytes.count]) { write in
            try bytes.withUnsafeBytes { try write($0) }
        }
    }

    /// A tensor out of another file.
    public init(_ name: String, _ tensor: StoredTensor) {
        self.init(name, dataType: tensor.dataType, shape: tensor.shape) { write in
            try tensor.bytes.withUnsafeBytes { try write($0) }
        }
    }
}
