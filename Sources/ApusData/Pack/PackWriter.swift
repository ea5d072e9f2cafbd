import ApusFiles
import Foundation

/// How images are stored in a pack.
public enum PackEncoding: String, Hashable, Codable, Sendable, CaseIterable {
    /// The bytes of the image files as they are; images without files as pixels.
    case keep
    /// As JPEG files; JPEG files that are small enough stay as they are.
    case jpeg
    /// As pixels, which need no decoding and much space.
    case raw
}

public struct PackOptions: Hashable, Sendable {
    public var encoding: PackEncoding
    /// Images with a longer side are scaled down to this; nil leaves them. Not with `keep`.
    public var maximumSide: Int?
    /// The quality of JPEG files, 1...100.
    public var quality: Int
    public var threads: Int
    /// Leaves out images that cannot be read and reports them; else the first one is an error.
    public var skipsBroken: Bool

    public init(
        encoding: PackEncoding = .jpeg, maximumSide: Int? = nil, quality: Int = 90,
        threads: Int = 2, skipsBroken: Bool = false
    ) {
        self.encoding = encoding
        self.maximumSide = maximumSide
        self.quality = quality
        self.threads = threads
        self.skipsBroken = skipsBroken
    }
}

/// What was packed.
public struct PackReport: Hashable, Sendable {
    public internal(set) var images = 0
    /// The size of the file.
    public internal(set) var bytes = 0
    /// Images that were left out: what is wrong with each.
    public internal(set) var broken: [String] = []
}

/// Writes data sets into one file.
public enum PackWriter {
    /// Packs the splits of a data set, which must have the same classes, into the file at `path`.
    ///
    /// The file appears when it is complete. Every image is decoded once, so that a pack holds none
    /// that cannot be read. `progress` is told how many images of how many are done, and throws to
    /// stop; then no file is left behind.
    public static func write(
        _ splits: [(split: Split, source: any ImageSource)], to path: String,
        options: PackOptions, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> PackReport {
        try check(options)
        let classNames = splits.first?.source.classNames ?? []
        if let other = splits.first(where: { $0.source.classNames != classNames }) {
            throw DataError(
                path, "would hold splits of different classes (\(other.split))",
                remedy: "pack them into a file each")
        }
        let total = splits.map(\.source.count).reduce(0, +)
        guard total > 0 else {
            throw DataError(path, "would hold no images", remedy: "pack another data set")
        }
        var report = PackReport()
        try AtomicFile.write(to: path) { writer in
            var file = Output(writer: writer)
            try file.start()
            var done = 0
            for (split, source) in splits {
                try OrderedMap.run(
                    count: source.count, threads: options.threads,
                    work: { index in
                        Result { try Encoded(source, index, options) }
                            .mapError(PackFailure.init)
                    },
                    take: { index, result in
                        switch result {
                        case .success(let image):
                            try file.append(
                                image, name: source.stableName(of: index),
                                label: source.label(at: index), split)
                            report.images += 1
                        case .failure(let failure):
                            guard options.skipsBroken else { throw failure.withRemedy }
                            report.broken.append("\(failure.error)")
                        }
                        done += 1
                        try progress(done, total)
                    })
            }
            guard report.images > 0 else {
                throw DataError(
                    path, "would hold no images: none of \(total) can be read",
                    remedy: "look at them with `apus data check`")
            }
            let isScaled = options.encoding != .keep
            try file.finish(
                PackFormat.About(
                    classNames: classNames, encoding: options.encoding.rawValue,
                    maximumSide: isScaled ? options.maximumSide : nil,
                    quality: options.encoding == .jpeg ? options.quality : nil))
            report.bytes = writer.byteCount
        }
        return report
    }

    private static func check(_ options: PackOptions) throws {
        guard (1...100).contains(options.quality) else {
            throw DataError("pack", "the quality is \(options.quality)", remedy: "use 1 to 100")
        }
        guard (1...65_535).contains(options.maximumSide ?? 1) else {
            throw DataError(
                "pack", "the largest side is \(options.maximumSide ?? 0)", remedy: "use 1 to 65535")
        }
        guard options.encoding != .keep || options.maximumSide == nil else {
            throw DataError(
                "pack", "images that are kept as they are cannot be scaled",
                remedy: "leave out the largest side, or encode as jpeg or raw")
        }
    }

    /// What is wrong with one image.
    private struct PackFailure: Error {
        let error: any Error

        /// The error with what can be done about it while packing.
        var withRemedy: any Error {
            guard let error = error as? DataError else { return error }
            return error.adding(remedy: "leave out such images with --skip-broken")
        }
    }

    /// An image as the pack holds it.
    private struct Encoded {
        let bytes: [UInt8]
        let storage: PackFormat.Storage
        let width: Int
        let height: Int
        let channels: Int

        init(_ source: any ImageSource, _ index: Int, _ options: PackOptions) throws {
            let stored = try source.stored(at: index)
            let original: Image
            var file: [UInt8]?
            switch stored {
            case .decoded(let image): original = image
            case .encoded(let bytes):
                original = try source.decoder.decode(bytes, name: source.name(of: index))
                file = bytes
            }
            let longest = max(original.width, original.height)
            let side = options.maximumSide ?? longest
            let image = longest > side ? original.scaled(toLongSide: side) : original
            switch options.encoding {
            case .keep:
                storage = file == nil ? .pixels : .file
                bytes = file ?? image.pixels
            case .jpeg:
                storage = .file
                if let file, longest <= side, ImageKind(content: file) == .jpeg {
                    bytes = file
                } else {
                    bytes = try ImageEncoder.encodeJPEG(image, quality: options.quality)
                }
            case .raw:
                storage = .pixels
                bytes = image.pixels
            }
            width = image.width
            height = image.height
            channels = image.channels
        }
    }

    /// The parts of the file as they are written.
    private struct Output {
        let writer: FileWriter
        private var entries: [PackFormat.Entry] = []
        private var names: [UInt8] = []

        init(writer: FileWriter) { self.writer = writer }

        func start() throws {
            let head = PackFormat.startMagic + PackFormat.bytes(PackFormat.version)
            try write(head + .init(repeating: 0, count: PackFormat.startSize - head.count))
        }

        mutating func append(
            _ image: Encoded, name: String, label: Int, _ split: Split
        ) throws {
            let text = Array(name.utf8)
            entries.append(
                PackFormat.Entry(
                    offset: writer.byteCount, byteCount: image.bytes.count,
                    checksum: XXHash64.hash(image.bytes), nameOffset: names.count,
                    nameSize: text.count, width: image.width, height: image.height,
                    label: Int32(label), storage: image.storage.rawValue,
                    channels: UInt8(image.channels), split: split.packed))
            names += text
            try write(image.bytes)
            try pad()
        }

        func finish(_ about: PackFormat.About) throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            let text = try encoder.encode(about)
            let start = writer.byteCount
            let index = entries.flatMap(\.bytes) + names + text
            try write(index)
            let namesStart = start + entries.count * PackFormat.Entry.size
            let end = PackFormat.End(
                count: entries.count, entries: start, names: namesStart,
                about: namesStart + names.count, aboutSize: text.count,
                checksum: XXHash64.hash(index))
            try write(end.bytes)
        }

        /// Images start where a cache line starts.
        private func pad() throws {
            let rest = writer.byteCount % PackFormat.alignment
            if rest > 0 { try write(.init(repeating: 0, count: PackFormat.alignment - rest)) }
        }

        private func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes(writer.write) }
    }
}
