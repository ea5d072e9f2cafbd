import ApusData
import Foundation

/// The images in a folder and everything below it, in the order of their paths, without labels.
public struct ImageListing: ImageSource {
    private let paths: [String]

    /// Lists files that end in `.jpg`, `.jpeg` or `.png`; hidden ones are left out. Throws a
    /// `DataError` if there are none.
    public init(directory given: String) throws {
        let directory =
            given.hasPrefix("folder:") ? String(given.dropFirst("folder:".count)) : given
        var paths: [String] = []
        guard let walk = FileManager.default.enumerator(atPath: directory) else {
            throw DataError(
                directory, "cannot be listed", remedy: "give a folder of images you may read")
        }
        for case let path as String in walk {
            let parts = path.split(separator: "/")
            let isHidden = parts.contains { $0.hasPrefix(".") }
            let name = path.lowercased()
            let isImage = [".jpg", ".jpeg", ".png"].contains { name.hasSuffix($0) }
            if isImage, !isHidden { paths.append(path) }
        }
        guard !paths.isEmpty else {
            throw DataError(
                directory, "has no .jpg, .jpeg or .png files", remedy: "give a folder of images")
        }
        self.paths = paths.sorted().map { "\(directory)/\($0)" }
    }

    public var count: Int { paths.count }
    /// All are called by the one name there is.
    public let classNames = ["image"]
    public var imageShape: ImageShape? { nil }
    public func label(at index: Int) -> Int { 0 }
    public func image(at index: Int) throws -> Image {
        try ImageDecoder().decode(contentsOf: paths[index])
    }
    public func name(of index: Int) -> String { paths[index] }
}
