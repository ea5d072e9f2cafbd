import Foundation

/// A TensorBoard event file: events one after the other, each between its length and checksums
/// (TFRecord). Events are appended; a file that was cut off in the middle of one loses only that one.
public final class EventFile {
    private let path: String
    /// Whether no event with a summary is in the file yet.
    public private(set) var isEmpty = true

    /// Opens or makes the file at `path` and keeps the events up to `step` of an earlier session; a
    /// resumed run writes the later ones again.
    public init(_ path: String, upTo step: Int) throws {
        self.path = path
        var kept: [UInt8] = []
        if let data = FileManager.default.contents(atPath: path) {
            for record in EventFile.records([UInt8](data)) {
                guard let own = EventRecord.step(of: record), own <= step else { continue }
                if !kept.isEmpty { isEmpty = false }
                kept += EventFile.framed(Array(record))
            }
        }
        if kept.isEmpty {
            kept = EventFile.framed(EventRecord.version(wallTime: EventFile.now).bytes)
        }
        try AtomicFile.write(to: path) { try $0.write(Data(kept)) }
    }

    /// Seconds since 1970, as events count time.
    public static var now: Double { Date().timeIntervalSince1970 }

    /// Writes an event behind the others; throws a `FileError` where that is not possible.
    public func append(_ record: EventRecord) throws {
        isEmpty = false
        do {
            guard let handle = FileHandle(forWritingAtPath: path) else {
                throw FileError(
                    path, "cannot be written", remedy: "was the run folder removed?")
            }
            defer { try? handle.close() }
            try handle.seekToEnd()
            try handle.write(contentsOf: Data(EventFile.framed(record.bytes)))
        } catch let error as FileError {
            throw error
        } catch {
            throw FileError(
                path, "cannot be written: \(error.localizedDescription)", remedy: "free some space")
        }
    }

    /// Length, its checksum, the bytes, their checksum; all numbers with the low byte first.
    package static func framed(_ bytes: [UInt8]) -> [UInt8] {
        let length = withUnsafeBytes(of: UInt64(bytes.count).littleEndian, Array.init)
        func checksum(_ bytes: [UInt8]) -> [UInt8] {
            withUnsafeBytes(of: CRC32C.masked(bytes[...]).littleEndian, Array.init)
        }
        return length + checksum(length) + bytes + checksum(bytes)
    }

    /// The content of whole records with right checksums, up to the first that is not.
    package static func records(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var result: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        func number<Value: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>, _: Value.Type) -> Value {
            bytes.reversed().reduce(0) { $0 << 8 | Value($1) }
        }
        while rest.count >= 16 {
            let head = rest.prefix(8)
            let length = number(head, UInt64.self)
            guard number(rest.dropFirst(8).prefix(4), UInt32.self) == CRC32C.masked(head),
                length <= UInt64(rest.count - 16)
            else { break }
            let content = rest.dropFirst(12).prefix(Int(length))
            let end = rest.dropFirst(12 + Int(length))
            guard number(end.prefix(4), UInt32.self) == CRC32C.masked(content) else { break }
            result.append(content)
            rest = end.dropFirst(4)
        }
        return result
    }
}

/// The checksum of TFRecord files: CRC-32 with Castagnoli's polynomial (RFC 3720, appendix B.4).
package enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in
            value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1
        }
    }

    package static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }

    /// Turned and shifted, so that checksums of data that holds checksums stay good.
    package static func masked(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        let value = checksum(bytes)
        return (value >> 15 | value << 17) &+ 0xA282_EAD8
    }
}
