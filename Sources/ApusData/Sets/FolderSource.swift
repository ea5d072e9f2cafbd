/// Image files, with a class each or with none.
///
/// Images are decoded when asked for. Their order depends on their names alone, so labels and
/// indices are the same on every machine.
public struct FolderSource: ImageSource {
    public let classNames: [String]
    public let otherFiles: [String]
    private let root: String
    /// Paths that start inside `root`, or absolute ones.
    private let paths: [String]
    private let labels: [Int32]
    private let decoder: ImageDecoder

    /// The images at `paths`; `labels` are -1 where `classNames` is empty.
    init(
        root: String, paths: [String], labels: [Int32], classNames: [String],
        otherFiles: [String] = [], decoder: ImageDecoder = ImageDecoder()
    ) {
        self.root = root
        self.paths = paths
        self.labels = labels
        self.classNames = classNames
        self.otherFiles = otherFiles
        self.decoder = decoder
    }

    /// Takes one folder of `directory` for every class; a class may have folders inside its own.
    ///
    /// - Parameter classNames: the classes and their order if they are known, as those of the
    ///   training split are for the test split; a folder of any other name is then an error.
    public init(
        directory: String, classNames: [String]? = nil, decoder: ImageDecoder = ImageDecoder()
    ) throws {
        let entries = try FileListing.entries(of: directory)
        let folders = entries.filter(\.isFolder).map(\.name)
        guard !folders.isEmpty else {
            throw DataError(
                directory, "has no class folders",
                remedy: "put the images of every class in a folder named after the class")
        }
        if let classNames, let stranger = folders.first(where: { !classNames.contains($0) }) {
            throw DataError(
                "\(directory)/\(stranger)", "is not a class of the training images",
                remedy: "rename or remove the folder")
        }
        let names = classNames ?? folders
        let label = Dictionary(
            names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var paths: [String] = []
        var labels: [Int32] = []
        var otherFiles = entries.filter { !$0.isFolder }.map { "\(directory)/\($0.name)" }
        for folder in folders {
            let path = "\(directory)/\(folder)"
            let files = try FileListing.files(below: path)
            let images = files.filter { ImageKind(fileName: $0) != nil }
            guard !images.isEmpty else {
                throw DataError(
                    path, "has no images (class \"\(folder)\")",
                    remedy: "add \(Self.endings) files to the folder or remove it")
            }
            otherFiles += files.filter { ImageKind(fileName: $0) == nil }.map { "\(path)/\($0)" }
            paths += images.map { "\(folder)/\($0)" }
            labels += repeatElement(Int32(label[folder] ?? 0), count: images.count)
        }
        self.init(
            root: directory, paths: paths, labels: labels, classNames: names,
            otherFiles: otherFiles, decoder: decoder)
    }

    /// Takes all images below `directory`, however deep, without labels.
    public init(unlabelled directory: String, decoder: ImageDecoder = ImageDecoder()) throws {
        let files = try FileListing.files(below: directory)
        let images = files.filter { ImageKind(fileName: $0) != nil }
        guard !images.isEmpty else {
            throw DataError(
                directory,
                files.isEmpty ? "is an empty folder" : "has no images among \(files.count) files",
                remedy: "put \(Self.endings) files into it")
        }
        self.init(
            root: directory, paths: images, labels: .init(repeating: -1, count: images.count),
            classNames: [],
            otherFiles: files.filter { ImageKind(fileName: $0) == nil }
                .map { "\(directory)/\($0)" },
            decoder: decoder)
    }

    /// The endings of images for messages.
    static let endings = ImageKind.endings.map { ".\($0)" }.joined(separator: ", ")

    public var count: Int { paths.count }
    public var imageShape: ImageShape? { nil }
    public func label(at index: Int) -> Int { Int(labels[index]) }
    public func image(at index: Int) throws -> Image {
        try decoder.decode(contentsOf: name(of: index))
    }
    public func stored(at index: Int) throws -> StoredImage {
        .encoded(try decoder.read(name(of: index)))
    }
    public func name(of index: Int) -> String {
        paths[index].hasPrefix("/") ? paths[index] : "\(root)/\(paths[index])"
    }
    public func stableName(of index: Int) -> String { paths[index] }

    /// The names of the folders in `directory` that are not hidden, sorted.
    package static func classFolders(in directory: String) throws -> [String] {
        try FileListing.entries(of: directory).filter(\.isFolder).map(\.name)
    }

    package static func isDirectory(_ path: String) -> Bool { FileListing.isDirectory(path) }
}
