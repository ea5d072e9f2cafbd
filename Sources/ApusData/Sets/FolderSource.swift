import Foundation

/// A folder with one folder of `.jpg`, `.jpeg`, `.png` or `.webp` files for every class.
///
/// Classes and files are taken in the order of their names, so labels and indices are the same
/// on every machine. Images are decoded when asked for. Hidden files are left out.
public struct FolderSource: ImageSource {
    public let classNames: [String]
    /// Files that are not images by their name, for the caller to report.
    public let otherFiles: [String]
    private let paths: [String]
    private let labels: [Int32]
    public let decoder: ImageDecoder

    /// Lists the images below `directory`.
    ///
    /// - Parameter classNames: the classes and their order if they are known, as those of the
    ///   training split are for the test split; a folder of any other name is then an error.
    public init(
        directory: String, classNames: [String]? = nil, decoder: ImageDecoder = ImageDecoder()
    ) throws {
        let folders = try Self.classFolders(in: directory)
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
        var otherFiles: [String] = []
        for folder in folders {
            let path = "\(directory)/\(folder)"
            let before = paths.count
            for file in try Self.entries(of: path) {
                if Self.isImage(file) {
                    paths.append("\(path)/\(file)")
                } else {
                    otherFiles.append("\(path)/\(file)")
                }
            }
            guard paths.count > before else {
                throw DataError(
                    path, "has no images (class \"\(folder)\")",
                    remedy: "add .jpg, .jpeg, .png or .webp files to the folder or remove it")
            }
            labels += repeatElement(Int32(label[folder] ?? 0), count: paths.count - before)
        }
        self.classNames = names
        self.paths = paths
        self.labels = labels
        self.otherFiles = otherFiles
        self.decoder = decoder
    }

    public var count: Int { paths.count }
    public var imageShape: ImageShape? { nil }
    public func label(at index: Int) -> Int { Int(labels[index]) }
    public func image(at index: Int) throws -> Image {
        try decoder.decode(contentsOf: paths[index])
    }
    public func stored(at index: Int) throws -> StoredImage {
        .encoded(try decoder.read(paths[index]))
    }
    public func name(of index: Int) -> String { paths[index] }

    /// The names of the folders in `directory` that are not hidden, sorted.
    package static func classFolders(in directory: String) throws -> [String] {
        try entries(of: directory).filter { isDirectory("\(directory)/\($0)") }
    }

    package static func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            && isDirectory.boolValue
    }

    private static func isImage(_ file: String) -> Bool {
        let name = file.lowercased()
        return [".jpg", ".jpeg", ".png", ".webp"].contains(where: name.hasSuffix)
    }

    private static func entries(of directory: String) throws -> [String] {
        guard isDirectory(directory) else {
            let exists = FileManager.default.fileExists(atPath: directory)
            throw DataError(
                directory, exists ? "is not a folder" : "does not exist",
                remedy: "give the path of a folder with one folder of images a class")
        }
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { !$0.hasPrefix(".") }.sorted()
        } catch {
            throw DataError(
                directory, "cannot be listed", remedy: "check the permissions of the folder")
        }
    }
}
