import Foundation

/// A cursor over bytes that throws, with the path, where a reader would run past the end.
struct ByteReader {
    let data: Data
    let path: String
    /// How many bytes are behind the cursor.
    private(set) var position = 0

    init(_ data: Data, path: String) {
        self.data = data
        self.path = path
    }

    /// How many bytes are ahead.
    var left: Int { data.count - position }

    /// Moves to `position` from the start.
    mutating func seek(_ position: Int) throws {
        guard position >= 0, position <= data.count else {
            throw FileError(
                path, "points to byte \(position), but has only \(data.count)",
                remedy: "download or write the file again")
        }
        self.position = position
    }

    /// The next byte.
    mutating func byte() throws -> UInt8 {
        guard left >= 1 else { throw truncated(1) }
        defer { position += 1 }
        return data[data.startIndex + position]
    }

    /// The next little-endian integer.
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws -> T {
        let size = MemoryLayout<T>.size
        guard left >= size else { throw truncated(size) }
        defer { position += size }
        let value = data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: T.self) }
        return T(littleEndian: value)
    }

    /// The next little-endian unsigned integer, as a count or an offset.
    mutating func count<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws -> Int {
        let value = try integer(type)
        guard let count = Int(exactly: value), count >= 0 else {
            throw FileError(
                path, "declares the size \(value), which no file has",
                remedy: "download or write the file again")
        }
        return count
    }

    /// The next `count` bytes, without a copy.
    mutating func take(_ count: Int) throws -> Data {
        guard count >= 0, left >= count else { throw truncated(count) }
        defer { position += count }
        let start = data.startIndex + position
        return data[start..<start + count]
    }

    /// The bytes before the next line feed, which is skipped.
    mutating func line() throws -> Data {
        let ahead = data[(data.startIndex + position)...]
        guard let end = ahead.firstIndex(of: 0x0A) else { throw truncated(left + 1) }
        position = end - data.startIndex + 1
        return ahead[ahead.startIndex..<end]
    }

    private func truncated(_ count: Int) -> FileError {
        FileError(
            path, "is truncated: it ends at least \(byteText(max(count - left, 0))) too early",
            remedy: "download or copy the file again")
    }
}
