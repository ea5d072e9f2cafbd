import Foundation

extension PickleMachine {
    /// The value that `opcode` and the bytes after it spell out.
    mutating func literal(_ opcode: PickleOpcode) throws -> PickleValue {
        switch opcode {
        case .none: return .none
        case .newTrue: return .bool(true)
        case .newFalse: return .bool(false)
        case .binInt: return .int(Int(try reader.integer(Int32.self)))
        case .binInt1: return .int(Int(try reader.byte()))
        case .binInt2: return .int(Int(try reader.integer(UInt16.self)))
        case .long1: return try long()
        case .binFloat:
            let bits = try reader.integer(UInt64.self).byteSwapped
            return .float(Double(bitPattern: bits))
        case .shortBinString, .shortBinUnicode:
            return .string(try text(reader.take(Int(reader.byte()))))
        case .binString, .binUnicode:
            return .string(try text(reader.take(Int(reader.integer(UInt32.self)))))
        case .binUnicode8: return .string(try text(reader.take(reader.count(UInt64.self))))
        case .shortBinBytes:
            _ = try reader.take(Int(reader.byte()))
            return .bytes
        case .binBytes:
            _ = try reader.take(Int(reader.integer(UInt32.self)))
            return .bytes
        default: throw damaged("has no literal where one belongs")
        }
    }

    /// Text out of the file.
    func text(_ bytes: Data) throws -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw damaged("has text that is not UTF-8")
        }
        return text
    }

    /// A two's complement integer of up to 255 bytes.
    private mutating func long() throws -> PickleValue {
        let bytes = [UInt8](try reader.take(Int(reader.byte())))
        guard bytes.count <= 8 else { return .bigInteger(bytes) }
        let isNegative = (bytes.last ?? 0) >= 0x80
        var bits: UInt64 = isNegative ? .max : 0
        for byte in bytes.reversed() { bits = bits << 8 | UInt64(byte) }
        return .int(Int(Int64(bitPattern: bits)))
    }
}
