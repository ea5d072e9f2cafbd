import Foundation

/// The layout of a packed file, `.apack`. All numbers are little-endian.
///
///     start    "APUSPACK", version (32 bits), 52 zeros
///     images   their bytes, one after another, each at a multiple of 64
///     entries  one for every image, 56 bytes each
///     names    UTF-8, one after another
///     about    a JSON object: class names and how the file was made
///     end      64 bytes: where the parts are, a checksum of them, "APUSPEND"
///
/// The end is written last, so a file without it was cut short. Checksums are XXH64.
enum PackFormat {
    static let version: UInt32 = 1
    static let startMagic = Array("APUSPACK".utf8)
    static let endMagic = Array("APUSPEND".utf8)
    static let startSize = 64
    static let endSize = 64
    static let alignment = 64

    /// How an image is stored.
    enum Storage: UInt8 {
        /// As an image file.
        case file = 0
        /// As pixels: rows from the top, channels interleaved.
        case pixels = 1
    }

    struct Entry {
        static let size = 56

        var offset: Int
        var byteCount: Int
        var checksum: UInt64
        var nameOffset: Int
        var nameSize: Int
        var width: Int
        var height: Int
        var label: Int32
        var storage: UInt8
        var channels: UInt8
        var split: UInt8
    }

    struct End {
        var count: Int
        var entries: Int
        var names: Int
        var about: Int
        var aboutSize: Int
        /// Of everything from `entries` to the end of `about`.
        var checksum: UInt64
    }

    struct About: Codable {
        var classNames: [String]
        var encoding: String
        var maximumSide: Int?
        var quality: Int?
    }
}

extension PackFormat.Entry {
    var bytes: [UInt8] {
        PackFormat.bytes(UInt64(offset)) + PackFormat.bytes(UInt64(byteCount))
            + PackFormat.bytes(checksum) + PackFormat.bytes(UInt64(nameOffset))
            + PackFormat.bytes(UInt32(nameSize)) + PackFormat.bytes(UInt32(width))
            + PackFormat.bytes(UInt32(height)) + PackFormat.bytes(UInt32(bitPattern: label))
            + [storage, channels, split, 0, 0, 0, 0, 0]
    }

    /// Reads an entry; numbers that no file can have come out as -1.
    init(_ bytes: UnsafeRawBufferPointer, at place: Int) {
        func wide(_ offset: Int) -> UInt64 {
            UInt64(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: place + offset, as: UInt64.self))
        }
        func half(_ offset: Int) -> UInt32 {
            UInt32(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: place + offset, as: UInt32.self))
        }
        offset = Int(exactly: wide(0)) ?? -1
        byteCount = Int(exactly: wide(8)) ?? -1
        checksum = wide(16)
        nameOffset = Int(exactly: wide(24)) ?? -1
        nameSize = Int(half(32))
        width = Int(half(36))
        height = Int(half(40))
        label = Int32(bitPattern: half(44))
        storage = bytes[place + 48]
        channels = bytes[place + 49]
        split = bytes[place + 50]
    }
}

extension PackFormat.End {
    var bytes: [UInt8] {
        [count, entries, names, about, aboutSize].flatMap { PackFormat.bytes(UInt64($0)) }
            + PackFormat.bytes(checksum) + [UInt8](repeating: 0, count: 8) + PackFormat.endMagic
    }

    init(_ bytes: UnsafeRawBufferPointer, at place: Int) {
        func number(_ index: Int) -> UInt64 {
            UInt64(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: place + 8 * index, as: UInt64.self))
        }
        let places = (0..<5).map { Int(exactly: number($0)) ?? -1 }
        (count, entries, names) = (places[0], places[1], places[2])
        (about, aboutSize) = (places[3], places[4])
        checksum = number(5)
    }
}

extension PackFormat {
    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
