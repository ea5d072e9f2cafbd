/// Some images of a source, in an order of their own.
public struct SubsetSource: ImageSource {
    public let base: any ImageSource
    /// Where the images are in the source.
    public let indices: [Int]

    /// Takes the images at `indices`, all of which must be below the count of `base`.
    public init(_ base: any ImageSource, indices: [Int]) {
        let all = 0..<base.count
        precondition(indices.allSatisfy(all.contains), "no such image")
        self.base = base
        self.indices = indices
    }

    /// The first `count` images, or all of fewer.
    public init(_ base: any ImageSource, first count: Int) {
        self.init(base, indices: Array(0..<min(count, base.count)))
    }

    /// So many images, evenly spaced, or all of fewer.
    public init(_ base: any ImageSource, count: Int) {
        let count = min(count, base.count)
        self.init(base, indices: (0..<count).map { $0 * base.count / count })
    }

    public var count: Int { indices.count }
    public var classNames: [String] { base.classNames }
    public var imageShape: ImageShape? { base.imageShape }
    public var decoder: ImageDecoder { base.decoder }
    public var otherFiles: [String] { base.otherFiles }
    public func label(at index: Int) -> Int { base.label(at: indices[index]) }
    public func image(at index: Int) throws -> Image { try base.image(at: indices[index]) }
    public func stored(at index: Int) throws -> StoredImage {
        try base.stored(at: indices[index])
    }
    public func name(of index: Int) -> String { base.name(of: indices[index]) }
    public func stableName(of index: Int) -> String { base.stableName(of: indices[index]) }

    /// How many images every class has; for images that have labels.
    package var countsByClass: [Int] {
        var counts = [Int](repeating: 0, count: classNames.count)
        for index in indices { counts[base.label(at: index)] += 1 }
        return counts
    }
}
