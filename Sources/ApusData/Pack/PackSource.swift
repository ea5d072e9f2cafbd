import ApusFiles
import Foundation

/// Images of one packed file, as `apus pack` writes it.
///
/// The file is memory-mapped. Everything but the images is checked when it is opened; an image is
/// checked when it is read.
public struct PackSource: ImageSource {
    public let classNames: [String]
    public let imageShape: ImageShape?
    private let path: String
    private let data: Data
    private let namesStart: Int
    private let entries: [PackFormat.Entry]
    private let decoder: ImageDecoder

    /// Opens a split of a pack; throws if it has no image of that split.
    public init(path: String, split: Split, decoder: ImageDecoder = ImageDecoder()) throws {
        let data = try MappedFile.read(path)
        let (all, about, end) = try data.withUnsafeBytes { bytes in
            try Self.readIndex(bytes, path)
        }
        let entries = all.filter { $0.split == split.packed }
        guard !entries.isEmpty else {
            throw DataError(
                path, all.isEmpty ? "has no images" : "has no \(split) split",
                remedy: "pack a folder with train/ and test/, or hold out a part with --validation")
        }
        self.path = path
        self.data = data
        self.entries = entries
        self.decoder = decoder
        namesStart = end.names
        classNames = about.classNames
        let shapes = Set(
            entries.map { entry in
                entry.storage == PackFormat.Storage.pixels.rawValue ? Self.shape(entry) : nil
            })
        imageShape = shapes.count == 1 ? shapes.first ?? nil : nil
    }

    public var count: Int { entries.count }
    public func label(at index: Int) -> Int { Int(entries[index].label) }

    public func image(at index: Int) throws -> Image {
        switch try stored(at: index) {
        case .decoded(let image): return image
        case .encoded(let bytes): return try decoder.decode(bytes, name: name(of: index))
        }
    }

    public func stored(at index: Int) throws -> StoredImage {
        let entry = entries[index]
        let bytes = try data.withUnsafeBytes { all in
            let bytes = UnsafeRawBufferPointer(
                rebasing: all[entry.offset..<entry.offset + entry.byteCount])
            guard XXHash64.hash(bytes) == entry.checksum else {
                throw DataError(
                    name(of: index), "is damaged (its checksum is another)",
                    remedy: "copy the pack again, or pack the images anew")
            }
            return [UInt8](bytes)
        }
        guard entry.storage == PackFormat.Storage.pixels.rawValue else { return .encoded(bytes) }
        return .decoded(
            Image(
                width: entry.width, height: entry.height, channels: Int(entry.channels),
                pixels: bytes))
    }

    public func name(of index: Int) -> String { "\(path)[\(stableName(of: index))]" }

    public func stableName(of index: Int) -> String {
        let start = namesStart + entries[index].nameOffset
        return data.withUnsafeBytes { bytes in
            String(decoding: bytes[start..<start + entries[index].nameSize], as: UTF8.self)
        }
    }

    private static func shape(_ entry: PackFormat.Entry) -> ImageShape {
        ImageShape(channels: Int(entry.channels), height: entry.height, width: entry.width)
    }

    // MARK: Reading

    /// Whether a file says that it is a pack.
    static func isPack(_ path: String) -> Bool {
        let start = try? FileBytes.OpenFile(path).read(at: 0, count: 8)
        return start == PackFormat.startMagic
    }

    private static func readIndex(
        _ bytes: UnsafeRawBufferPointer, _ path: String
    ) throws -> ([PackFormat.Entry], PackFormat.About, PackFormat.End) {
        let again = "copy the pack again, or pack the images anew"
        let damaged = DataError(path, "has a damaged index", remedy: again)
        guard bytes.count >= 12, bytes.starts(with: PackFormat.startMagic) else {
            throw DataError(
                path, "is not a pack", remedy: "write one with `apus pack DIR --out FILE`")
        }
        let version = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard version <= PackFormat.version else {
            throw DataError(
                path, "is a pack of version \(version), newer than \(PackFormat.version)",
                remedy: "update apus, or pack the images anew")
        }
        let endPlace = bytes.count - PackFormat.endSize
        guard version > 0, endPlace >= PackFormat.startSize,
            bytes[(bytes.count - 8)...].elementsEqual(PackFormat.endMagic)
        else { throw DataError(path, "is cut short (a pack without its end)", remedy: again) }
        let end = PackFormat.End(bytes, at: endPlace)
        // Every comparison is of numbers within the file, so that no sum can overflow.
        guard (PackFormat.startSize...endPlace).contains(end.entries),
            (0...endPlace / PackFormat.Entry.size).contains(end.count),
            end.entries + end.count * PackFormat.Entry.size == end.names,
            (end.names...endPlace).contains(end.about),
            end.aboutSize >= 0, end.aboutSize == endPlace - end.about,
            XXHash64.hash(UnsafeRawBufferPointer(rebasing: bytes[end.entries..<endPlace]))
                == end.checksum
        else { throw damaged }
        guard
            let about = try? JSONDecoder().decode(
                PackFormat.About.self, from: Data(bytes[end.about..<endPlace]))
        else { throw damaged }
        // The checksum protects from accidents only: nothing is believed that could end in a trap.
        let entries = try (0..<end.count).map { index in
            let entry = PackFormat.Entry(
                bytes, at: end.entries + index * PackFormat.Entry.size)
            guard entry.offset >= PackFormat.startSize, entry.offset <= end.entries,
                entry.byteCount >= 0, entry.byteCount <= end.entries - entry.offset,
                entry.nameOffset >= 0, entry.nameOffset <= end.about - end.names,
                entry.nameSize <= end.about - end.names - entry.nameOffset,
                isLabel(entry.label, of: about.classNames.count), isShape(entry)
            else { throw damaged }
            return entry
        }
        return (entries, about, end)
    }

    private static func isLabel(_ label: Int32, of classes: Int) -> Bool {
        classes == 0 ? label == -1 : (0..<classes).contains(Int(label))
    }

    private static func isShape(_ entry: PackFormat.Entry) -> Bool {
        switch PackFormat.Storage(rawValue: entry.storage) {
        case .file: return true
        case .pixels:
            // Sides have 32 bits: the product of both fits, times channels it might not.
            return entry.width > 0 && entry.height > 0
                && (entry.channels == 1 || entry.channels == 3)
                && entry.byteCount % Int(entry.channels) == 0
                && entry.width.multipliedReportingOverflow(by: entry.height)
                    == (entry.byteCount / Int(entry.channels), false)
        case nil: return false
        }
    }
}

extension Split {
    /// How packs write it.
    var packed: UInt8 { self == .train ? 0 : 1 }
}
