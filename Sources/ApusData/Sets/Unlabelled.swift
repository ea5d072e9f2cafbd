/// The images of another source without its labels.
public struct Unlabelled: ImageSource {
    private let base: any ImageSource

    public init(_ base: any ImageSource) { self.base = base }

    public var count: Int { base.count }
    public var classNames: [String] { [] }
    public var imageShape: ImageShape? { base.imageShape }
    public var otherFiles: [String] { base.otherFiles }
    public func label(at index: Int) -> Int { -1 }
    public func image(at index: Int) throws -> Image { try base.image(at: index) }
    public func stored(at index: Int) throws -> StoredImage { try base.stored(at: index) }
    public func name(of index: Int) -> String { base.name(of: index) }
    public func stableName(of index: Int) -> String { base.stableName(of: index) }
}
