/// Some images of a source, in an order of their own.
public struct SelectedImages: ImageSource {
    public let base: any ImageSource
    /// Where the images are in the source.
    public let indices: [Int]

    public init(_ base: any ImageSource, _ indices: [Int]) {
        precondition(indices.allSatisfy { (0..<base.count).contains($0) }, "no such image")
        self.base = base
        self.indices = indices
    }

    /// The first `count` images, or all of fewer.
    public init(_ base: any ImageSource, first count: Int) {
        self.init(base, Array(0..<min(count, base.count)))
    }

    public var count: Int { indices.count }
    public var classNames: [String] { base.classNames }
    public var imageShape: ImageShape? { base.imageShape }
    public func label(at index: Int) -> Int { base.label(at: indices[index]) }
    public func image(at index: Int) throws -> Image { try base.image(at: indices[index]) }
    public func stored(at index: Int) throws -> StoredImage {
        try base.stored(at: indices[index])
    }
    public func name(of index: Int) -> String { base.name(of: indices[index]) }
}
