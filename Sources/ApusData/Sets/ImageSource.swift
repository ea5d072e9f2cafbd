import ApusTensor

/// Images that can be read in any order, from any thread, with labels or without.
public protocol ImageSource: Sendable {
    /// The number of images.
    var count: Int { get }
    /// The name of every class; labels are positions in it. Empty where images have no labels.
    var classNames: [String] { get }
    /// What every image of the set looks like, or nil where images differ or are not yet read.
    var imageShape: ImageShape? { get }
    /// The class of an image: 0..<classNames.count; -1 where images have no labels.
    func label(at index: Int) -> Int
    /// Reads and decodes an image.
    func image(at index: Int) throws -> Image
    /// Reads an image without decoding it where it is stored encoded.
    func stored(at index: Int) throws -> StoredImage
    /// What errors call an image: its file, or the file and the position in it.
    func name(of index: Int) -> String
    /// A name that an image keeps when the set is moved or grows: its path inside the set where it
    /// is a file, else its position. Validation images are chosen by it.
    func stableName(of index: Int) -> String
    /// Files beside the images that are none by their names, for the caller to report.
    var otherFiles: [String] { get }
    /// What decodes the images that are stored encoded, and what it accepts.
    var decoder: ImageDecoder { get }
}

extension ImageSource {
    public var decoder: ImageDecoder { ImageDecoder() }
    /// Whether images have labels, as supervised training needs them.
    public var hasLabels: Bool { !classNames.isEmpty }
    public func stableName(of index: Int) -> String { String(index) }
    public var otherFiles: [String] { [] }
    public func stored(at index: Int) throws -> StoredImage { .decoded(try image(at: index)) }
}

/// Channels, height and width of an image.
public struct ImageShape: Hashable, Sendable, Codable, CustomStringConvertible {
    public var channels: Int
    public var height: Int
    public var width: Int

    public init(channels: Int, height: Int, width: Int) {
        self.channels = channels
        self.height = height
        self.width = width
    }

    /// The height and the width.
    public var size: ImageSize { ImageSize(height: height, width: width) }

    /// What a network takes: [channels, height, width].
    public var input: Shape { [channels, height, width] }

    public var description: String { "\(channels)x\(height)x\(width)" }
}

/// Which part of a data set: `train` is learned from, `test` only measured on.
public enum Split: String, Hashable, Codable, Sendable, CaseIterable {
    case train
    case test
}
