/// Images in tar archives in the layout of WebDataset: the files of a sample are called the same up
/// to the first dot of their names, as `7.jpg` and `7.cls`.
///
/// The label is what `.cls` says, else the `label` (or `class`) of `.json`, else `.txt`. The headers are
/// read once; images are read from their places, in any order, so archives must not be compressed.
public struct TarSource: ImageSource {
    public let classNames: [String]
    public let otherFiles: [String]
    private let shards: [String]
    private let items: [Item]
    private let labels: [Int32]
    private let decoder: ImageDecoder

    private struct Item {
        let shard: Int
        let member: TarIndex.Member
    }

    /// A label longer than this is a caption.
    private static let longestLabel = 200

    /// Reads the headers of all archives.
    ///
    /// - Parameters:
    ///   - classNames: the classes and their order if they are known, as those of the training
    ///     split are for the test split
    ///   - readsLabels: whether to look for labels at all; `.txt` files may be captions
    public init(
        shards: [String], classNames: [String]? = nil, readsLabels: Bool = true,
        decoder: ImageDecoder = ImageDecoder()
    ) throws {
        var items: [Item] = []
        var texts: [String?] = []
        var otherFiles: [String] = []
        for (number, path) in shards.enumerated() {
            let file = try FileBytes.OpenFile(path)
            let samples = try Self.samples(TarIndex(file), path, &otherFiles)
            for sample in samples {
                items.append(Item(shard: number, member: sample.image))
                texts.append(readsLabels ? try Self.label(sample, file) : nil)
            }
        }
        guard !items.isEmpty else {
            throw DataError(
                shards.first ?? "tar archives", "has no images",
                remedy: "use archives with \(FolderSource.endings) files")
        }
        let labels = try ClassLabels(texts, classNames: classNames) { index in
            "\(shards[items[index].shard])[\(items[index].member.name)]"
        }
        self.shards = shards
        self.items = items
        self.otherFiles = otherFiles
        self.labels = labels.labels
        self.classNames = labels.classNames
        self.decoder = decoder
    }

    public var count: Int { items.count }
    public var imageShape: ImageShape? { nil }
    public func label(at index: Int) -> Int { Int(labels[index]) }
    public func image(at index: Int) throws -> Image {
        try decoder.decode(bytes(at: index), name: name(of: index))
    }
    public func stored(at index: Int) throws -> StoredImage { .encoded(try bytes(at: index)) }
    public func name(of index: Int) -> String {
        "\(shards[items[index].shard])[\(items[index].member.name)]"
    }
    /// The name inside the archive: samples may move between shards.
    public func stableName(of index: Int) -> String { items[index].member.name }

    private func bytes(at index: Int) throws -> [UInt8] {
        // Opened anew each time: there may be more shards than files may be open.
        let item = items[index]
        guard item.member.size <= decoder.maximumBytes else {
            throw decoder.tooLarge(item.member.size, name(of: index))
        }
        let file = try FileBytes.OpenFile(shards[item.shard])
        let bytes = try file.read(at: item.member.offset, count: item.member.size)
        guard bytes.count == item.member.size else {
            throw DataError(
                name(of: index), "is cut short; the archive has changed since it was opened",
                remedy: "start again when the archive is complete")
        }
        return bytes
    }

    // MARK: Samples

    private struct Sample {
        let image: TarIndex.Member
        var labels: [String: TarIndex.Member]
    }

    /// Files that share a stem, in the order of their images in the archive.
    private static func samples(
        _ index: TarIndex, _ path: String, _ otherFiles: inout [String]
    ) throws -> [Sample] {
        var samples: [Sample] = []
        var positions: [Substring: Int] = [:]
        var labels: [Substring: [String: TarIndex.Member]] = [:]
        for member in index.members {
            let base = member.name.lastIndex(of: "/").map(member.name.index(after:))
            let file = member.name[(base ?? member.name.startIndex)...]
            guard let dot = file.firstIndex(of: "."), dot > file.startIndex else {
                // Hidden files are left out, as in folders.
                if !file.hasPrefix(".") { otherFiles.append("\(path)[\(member.name)]") }
                continue
            }
            let stem = member.name[..<dot]
            let ending = file[file.index(after: dot)...].lowercased()
            if ImageKind.endings.contains(ending) {
                if let other = positions[stem] {
                    throw DataError(
                        "\(path)[\(member.name)]",
                        "belongs to the same sample as \(samples[other].image.name)",
                        remedy: "give images names that differ before the first dot")
                }
                positions[stem] = samples.count
                samples.append(Sample(image: member, labels: [:]))
            } else if ["cls", "json", "txt"].contains(ending) {
                labels[stem, default: [:]][ending] = member
            } else {
                otherFiles.append("\(path)[\(member.name)]")
            }
        }
        for (stem, files) in labels {
            if let position = positions[stem] {
                samples[position].labels = files
            } else {
                otherFiles += files.values.map { "\(path)[\($0.name)]" }
            }
        }
        otherFiles.sort()
        return samples
    }

    private static func label(_ sample: Sample, _ file: FileBytes.OpenFile) throws -> String? {
        for ending in ["cls", "json", "txt"] {
            guard let member = sample.labels[ending] else { continue }
            let isJSON = ending == "json"
            guard isJSON ? member.size <= 1 << 20 : member.size <= longestLabel else {
                throw DataError(
                    "\(file.path)[\(member.name)]",
                    "is too long for a label (\(member.size) bytes)",
                    remedy: "put the class in a .cls file, or open it as unlabelled:")
            }
            let bytes = try file.read(at: member.offset, count: member.size)
            if isJSON {
                guard let row = JSONRow(bytes) else {
                    throw DataError(
                        "\(file.path)[\(member.name)]", "is no JSON object",
                        remedy: "write an object such as {\"label\": \"cat\"}")
                }
                if let label = row.text(["label", "class", "cls"]) { return label }
            } else {
                return String(decoding: bytes, as: UTF8.self).trimmed
            }
        }
        return nil
    }
}

extension String {
    /// Without white space at both ends.
    fileprivate var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace ?? false { text.removeFirst() }
        while text.last?.isWhitespace ?? false { text.removeLast() }
        return String(text)
    }
}
