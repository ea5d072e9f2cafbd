import Foundation

/// A zip archive whose entries are stored as they are, as PyTorch writes them.
struct ZipArchive {
    private let data: Data
    private let path: String
    /// Where the bytes of each entry lie.
    private var entries: [String: Range<Int>] = [:]

    private static let endSignature: UInt32 = 0x0605_4B50
    private static let longEndSignature: UInt32 = 0x0606_4B50
    private static let longLocatorSignature: UInt32 = 0x0706_4B50
    private static let centralSignature: UInt32 = 0x0201_4B50
    private static let localSignature: UInt32 = 0x0403_4B50
    private static let remedy = "download or save the file again"

    /// The names of all entries.
    var names: Dictionary<String, Range<Int>>.Keys { entries.keys }

    /// Reads the directory of the archive in `data`, which stands at `path`.
    init(_ data: Data, path: String) throws {
        self.data = data
        self.path = path
        var directory = try centralDirectory()
        while directory.left > 0 {
            let (name, range) = try entry(&directory)
            guard entries.updateValue(range, forKey: name) == nil else {
                throw FileError(path, "holds \(quoted(name)) twice", remedy: Self.remedy)
            }
        }
    }

    /// The bytes of the entry of this name.
    subscript(name: String) -> Data? {
        entries[name].map {
            data[data.startIndex + $0.lowerBound..<data.startIndex + $0.upperBound]
        }
    }

    /// A cursor over exactly the central directory.
    private func centralDirectory() throws -> ByteReader {
        let end = try endRecord()
        var reader = ByteReader(data, path: path)
        try reader.seek(end + 4)
        let disks = (try reader.integer(UInt16.self), try reader.integer(UInt16.self))
        guard disks == (0, 0) else {
            throw FileError(path, "is one part of a split zip archive", remedy: Self.remedy)
        }
        _ = try reader.take(4)
        var size = Int(try reader.integer(UInt32.self))
        var offset = Int(try reader.integer(UInt32.self))
        if end >= 20 {
            try reader.seek(end - 20)
            if try reader.integer(UInt32.self) == Self.longLocatorSignature {
                _ = try reader.take(4)
                try reader.seek(reader.count(UInt64.self))
                guard try reader.integer(UInt32.self) == Self.longEndSignature else {
                    throw damaged("end record")
                }
                _ = try reader.take(36)
                size = try reader.count(UInt64.self)
                offset = try reader.count(UInt64.self)
            }
        }
        try reader.seek(offset)
        return ByteReader(try reader.take(size), path: path)
    }

    /// Where the end record begins: it is the last thing in the file but for a comment.
    private func endRecord() throws -> Int {
        let last = data.count - 22
        let isFound = data.withUnsafeBytes { bytes -> Int? in
            var position = last
            while position >= max(0, last - 0xFFFF) {
                let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)
                let comment = bytes.loadUnaligned(fromByteOffset: position + 20, as: UInt16.self)
                if UInt32(littleEndian: word) == Self.endSignature,
                    position + Int(UInt16(littleEndian: comment)) == last
                {
                    return position
                }
                position -= 1
            }
            return nil
        }
        guard let position = isFound else {
            throw FileError(
                path, "is a zip archive without its end: the file is truncated or damaged",
                remedy: Self.remedy)
        }
        return position
    }

    /// Reads one record of the central directory.
    private func entry(_ reader: inout ByteReader) throws -> (String, Range<Int>) {
        guard try reader.integer(UInt32.self) == Self.centralSignature else {
            throw damaged("directory")
        }
        _ = try reader.take(4)
        let flags = try reader.integer(UInt16.self)
        let method = try reader.integer(UInt16.self)
        _ = try reader.take(8)
        var packed = Int(try reader.integer(UInt32.self))
        var size = Int(try reader.integer(UInt32.self))
        let nameCount = Int(try reader.integer(UInt16.self))
        let extraCount = Int(try reader.integer(UInt16.self))
        let commentCount = Int(try reader.integer(UInt16.self))
        _ = try reader.take(8)
        var offset = Int(try reader.integer(UInt32.self))
        let nameBytes = try reader.take(nameCount)
        guard let name = String(validating: nameBytes, as: UTF8.self) else {
            throw FileError(path, "has an entry whose name is not UTF-8", remedy: Self.remedy)
        }
        var extra = ByteReader(try reader.take(extraCount), path: path)
        _ = try reader.take(commentCount)
        while extra.left >= 4 {
            let kind = try extra.integer(UInt16.self)
            var field = ByteReader(try extra.take(Int(extra.integer(UInt16.self))), path: path)
            guard kind == 1 else { continue }
            if size == 0xFFFF_FFFF { size = try field.count(UInt64.self) }
            if packed == 0xFFFF_FFFF { packed = try field.count(UInt64.self) }
            if offset == 0xFFFF_FFFF { offset = try field.count(UInt64.self) }
        }
        guard method == 0, flags & 1 == 0, packed == size else {
            throw FileError(
                path, "has the compressed or encrypted entry \(quoted(name))",
                remedy: "save it with torch.save, which stores entries as they are")
        }
        return (name, try content(of: name, at: offset, size: size))
    }

    /// The bytes behind the local header at `offset`.
    private func content(of name: String, at offset: Int, size: Int) throws -> Range<Int> {
        var reader = ByteReader(data, path: path)
        try reader.seek(offset)
        guard try reader.integer(UInt32.self) == Self.localSignature else {
            throw damaged("header of \(quoted(name))")
        }
        _ = try reader.take(22)
        let nameCount = Int(try reader.integer(UInt16.self))
        let extraCount = Int(try reader.integer(UInt16.self))
        _ = try reader.take(nameCount + extraCount)
        let start = reader.position
        _ = try reader.take(size)
        return start..<start + size
    }

    private func damaged(_ part: String) -> FileError {
        FileError(path, "is a zip archive with a damaged \(part)", remedy: Self.remedy)
    }
}
