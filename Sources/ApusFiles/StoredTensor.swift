import ApusTensor
import Foundation

/// A tensor as a file stores it: raw little-endian elements in row-major order.
public struct StoredTensor: Sendable {
    public let dataType: DataType
    public let shape: Shape
    /// The elements, usually a slice of a mapped file: its indices need not start at 0.
    public let bytes: Data

    /// Wraps `bytes`, whose number must be that of `shape` in `dataType`.
    public init(dataType: DataType, shape: Shape, bytes: Data) {
        precondition(
            bytes.count == shape.count * dataType.byteCount,
            "\(bytes.count) bytes do not hold \(shape) of \(dataType)")
        self.dataType = dataType
        self.shape = shape
        self.bytes = bytes
    }

    /// The elements as 32-bit floats, rounded to nearest where they do not fit; true is 1.
    public func floats() -> [Float] {
        switch dataType {
        case .float64: converted { Float(Double(bitPattern: UInt64(littleEndian: $0))) }
        case .float32: converted { Float(bitPattern: UInt32(littleEndian: $0)) }
        case .float16: converted { float(half: UInt16(littleEndian: $0)) }
        case .bfloat16:
            converted { Float(bitPattern: UInt32(UInt16(littleEndian: $0)) << 16) }
        case .int64: converted { Float(Int64(littleEndian: $0)) }
        case .int32: converted { Float(Int32(littleEndian: $0)) }
        case .int16: converted { Float(Int16(littleEndian: $0)) }
        case .int8: converted { (value: Int8) in Float(value) }
        case .uint8: converted { (value: UInt8) in Float(value) }
        case .bool: converted { (value: UInt8) in value == 0 ? 0 : 1 }
        }
    }

    /// The elements as they are if they are integers or booleans, nil if they are not.
    public func integers() -> [Int64]? {
        switch dataType {
        case .float64, .float32, .float16, .bfloat16: nil
        case .int64: converted { Int64(littleEndian: $0) }
        case .int32: converted { Int64(Int32(littleEndian: $0)) }
        case .int16: converted { Int64(Int16(littleEndian: $0)) }
        case .int8: converted { (value: Int8) in Int64(value) }
        case .uint8: converted { (value: UInt8) in Int64(value) }
        case .bool: converted { (value: UInt8) in value == 0 ? 0 : 1 }
        }
    }

    /// The elements as floats, with their shape.
    public func tensor() -> Tensor { Tensor(shape, floats()) }

    private func converted<Raw: BitwiseCopyable, Value>(_ convert: (Raw) -> Value) -> [Value] {
        bytes.withUnsafeBytes { buffer in
            let stride = MemoryLayout<Raw>.size
            return (0..<buffer.count / stride).map {
                convert(buffer.loadUnaligned(fromByteOffset: $0 * stride, as: Raw.self))
            }
        }
    }
}

/// IEEE binary16 to binary32, exactly, on processors with and without half floats.
private func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
        let magnitude = Float(fraction) * 0x1p-24
        return sign == 0 ? magnitude : -magnitude
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}

extension DataType {
    /// The bytes that `dimensions` take, nil where a dimension is negative or the product of the
    /// dimensions does not fit, even if an empty dimension would make it zero.
    func byteCount(of dimensions: [Int]) -> Int? {
        var bound = byteCount
        for dimension in dimensions {
            let (product, overflow) = bound.multipliedReportingOverflow(by: max(dimension, 1))
            guard dimension >= 0, !overflow else { return nil }
            bound = product
        }
        return dimensions.contains(0) ? 0 : bound
    }
}
