import Foundation

/// CIFAR-10 or CIFAR-100 in the binary version: records of one or two label bytes and 3072 bytes
/// of pixels, as three planes of 32x32.
public struct CIFARSource: ImageSource {
    /// Which of the two data sets a folder holds.
    public enum Kind: String, Hashable, Codable, Sendable {
        case cifar10
        case cifar100
    }

    public let classNames: [String]
    private let images: PackedImages
    private let files: [File]

    private struct File {
        let path: String
        let firstIndex: Int
    }

    /// Reads a split from a folder, or from the folder inside it that the archive unpacks to.
    ///
    /// - Parameter coarse: label CIFAR-100 by its 20 superclasses instead of its 100 classes.
    public init(directory: String, kind: Kind, split: Split, coarse: Bool = false) throws {
        let folder = Self.locate(kind, in: directory)
        var labels: [UInt8] = []
        var pixels: [UInt8] = []
        var files: [File] = []
        let labelBytes = kind == .cifar10 ? 1 : 2
        let names = Self.fileNames(kind, split)
        guard names.contains(where: { Self.isFile("\(folder)/\($0)") }) else {
            throw DataError(
                folder, "has no \(split) split of \(kind)",
                remedy: "put \(names.joined(separator: ", ")) of the binary version into it")
        }
        for name in names {
            let path = "\(folder)/\(name)"
            let bytes = try FileBytes.read(path)
            guard !bytes.isEmpty, bytes.count % (3072 + labelBytes) == 0 else {
                throw DataError(
                    path, "has \(bytes.count) bytes, not a multiple of \(3072 + labelBytes)",
                    remedy: "download the binary version of the data set again")
            }
            files.append(File(path: path, firstIndex: labels.count))
            Self.append(
                bytes, labelBytes: labelBytes, labelAt: coarse ? 0 : labelBytes - 1, &labels,
                &pixels)
        }
        classNames = try Self.readClassNames(kind, coarse: coarse, in: folder)
        self.files = files
        try PackedImages.check(labels: labels, classes: classNames.count) { index in
            Self.name(of: index, in: files)
        }
        images = PackedImages(
            shape: ImageShape(channels: 3, height: 32, width: 32), bytes: pixels, offset: 0,
            labels: labels)
    }

    public var count: Int { images.labels.count }
    public var imageShape: ImageShape? { images.shape }
    public func label(at index: Int) -> Int { Int(images.labels[index]) }
    public func image(at index: Int) throws -> Image { images.image(at: index) }
    public func name(of index: Int) -> String { Self.name(of: index, in: files) }

    /// The kind of CIFAR files in a folder, or nil if it holds none.
    package static func kind(of directory: String) -> Kind? {
        [Kind.cifar10, .cifar100].first { kind in
            let folder = locate(kind, in: directory)
            return Split.allCases.contains { split in
                fileNames(kind, split).contains { isFile("\(folder)/\($0)") }
            }
        }
    }

    private static func isFile(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            && !isDirectory.boolValue
    }

    private static func fileNames(_ kind: Kind, _ split: Split) -> [String] {
        switch (kind, split) {
        case (.cifar10, .train): (1...5).map { "data_batch_\($0).bin" }
        case (.cifar10, .test): ["test_batch.bin"]
        case (.cifar100, .train): ["train.bin"]
        case (.cifar100, .test): ["test.bin"]
        }
    }

    private static func locate(_ kind: Kind, in directory: String) -> String {
        let inner = kind == .cifar10 ? "cifar-10-batches-bin" : "cifar-100-binary"
        let nested = "\(directory)/\(inner)"
        return FileManager.default.fileExists(atPath: nested) ? nested : directory
    }

    private static func name(of index: Int, in files: [File]) -> String {
        guard let file = files.last(where: { $0.firstIndex <= index }) else { return "\(index)" }
        return "\(file.path)[\(index - file.firstIndex)]"
    }

    /// Interleaves the planes of every record once, so that reading an image is a plain copy.
    private static func append(
        _ bytes: [UInt8], labelBytes: Int, labelAt: Int, _ labels: inout [UInt8],
        _ pixels: inout [UInt8]
    ) {
        let record = 3072 + labelBytes
        let records = bytes.count / record
        let interleaved = [UInt8](unsafeUninitializedCapacity: records * 3072) { target, filled in
            bytes.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, var to = target.baseAddress else { return }
                for index in 0..<records {
                    let planes = from + index * record + labelBytes
                    for i in 0..<1024 {
                        to[0] = planes[i]
                        to[1] = planes[i + 1024]
                        to[2] = planes[i + 2048]
                        to += 3
                    }
                }
            }
            filled = records * 3072
        }
        labels += (0..<records).map { bytes[$0 * record + labelAt] }
        pixels += interleaved
    }

    private static func readClassNames(
        _ kind: Kind, coarse: Bool, in folder: String
    ) throws -> [String] {
        let file: String
        let expected: Int
        switch kind {
        case .cifar10: (file, expected) = ("batches.meta.txt", 10)
        case .cifar100 where coarse: (file, expected) = ("coarse_label_names.txt", 20)
        case .cifar100: (file, expected) = ("fine_label_names.txt", 100)
        }
        let path = "\(folder)/\(file)"
        guard isFile(path) else {
            return kind == .cifar10 ? cifar10Names : (0..<expected).map { "class \($0)" }
        }
        let names = String(decoding: try FileBytes.read(path), as: UTF8.self)
            .split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty }
        guard names.count == expected else {
            throw DataError(
                path, "names \(names.count) classes, not \(expected)",
                remedy: "download it again or remove it")
        }
        return names
    }

    private static let cifar10Names = [
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ]
}
