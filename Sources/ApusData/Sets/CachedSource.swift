import Synchronization

/// Keeps decoded images of another source in memory, so that small images are decoded once instead
/// of in every epoch. What does not fit within the limit is read each time, as without it.
public final class CachedSource: ImageSource {
    private struct State {
        var images: [Image?]
        var bytes = 0
        var count = 0
    }

    private let source: any ImageSource
    private let limit: Int
    private let state: Mutex<State>

    /// - Parameter limit: the bytes of pixels to keep at most.
    public init(_ source: any ImageSource, limit: Int) {
        self.source = source
        self.limit = limit
        state = Mutex(State(images: .init(repeating: nil, count: source.count)))
    }

    /// The images kept so far, and the bytes of their pixels.
    public var contents: (count: Int, bytes: Int) { state.withLock { ($0.count, $0.bytes) } }

    public var count: Int { source.count }
    public var classNames: [String] { source.classNames }
    public var imageShape: ImageShape? { source.imageShape }
    public func label(at index: Int) -> Int { source.label(at: index) }
    public func name(of index: Int) -> String { source.name(of: index) }
    public func stableName(of index: Int) -> String { source.stableName(of: index) }
    public var otherFiles: [String] { source.otherFiles }

    public func image(at index: Int) throws -> Image {
        if let image = state.withLock({ $0.images[index] }) { return image }
        let image = try source.image(at: index)
        state.withLock { state in
            guard state.images[index] == nil, state.bytes + image.pixels.count <= limit else {
                return
            }
            state.images[index] = image
            state.bytes += image.pixels.count
            state.count += 1
        }
        return image
    }

    public func stored(at index: Int) throws -> StoredImage {
        let isFull = state.withLock { $0.images[index] == nil && $0.bytes >= limit }
        return isFull ? try source.stored(at: index) : .decoded(try image(at: index))
    }

    /// Images of at most so many bytes are worth keeping without being asked to: 64x64 in color,
    /// which take longer to decode than to augment.
    private static let smallImage = 64 * 64 * 3

    /// The source with a cache if its images are small, are not in memory anyway, and all fit
    /// within `limit`; else the source itself. Larger images are better decoded in part each time.
    public static func forSmallImages(
        _ source: any ImageSource, limit: Int = 1 << 29
    ) throws -> any ImageSource {
        guard source.count > 0, case .encoded = try source.stored(at: 0) else { return source }
        let bytes = try source.image(at: 0).pixels.count
        let fits = bytes <= smallImage && bytes <= limit / source.count
        return fits ? CachedSource(source, limit: limit) : source
    }
}
