/// One block of zero-initialized floats, aligned for vectors and cache lines.
///
/// An arena is plain memory: it is safe to read from several threads, and its owner orders writes.
public final class Arena: @unchecked Sendable {
    /// The alignment of the block, and of every offset the memory planner hands out, in bytes.
    public static let alignment = 64

    public let base: UnsafeMutablePointer<Float>
    /// The number of floats.
    public let count: Int

    /// Whether the block was mapped in large pages.
    private let isMapped: Bool

    public init(count: Int) {
        precondition(count >= 0)
        self.count = count
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let mapping = bytes < LargePages.size ? nil : LargePages.map(bytes: bytes)
        isMapped = mapping != nil
        let raw =
            mapping
            ?? UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: Arena.alignment)
        base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
        if !isMapped { base.initialize(repeating: 0, count: max(count, 1)) }
    }

    deinit {
        if isMapped {
            LargePages.unmap(base, bytes: byteCount)
        } else {
            UnsafeMutableRawPointer(base).deallocate()
        }
    }

    public var byteCount: Int { count * MemoryLayout<Float>.stride }

    public var buffer: UnsafeMutableBufferPointer<Float> { .init(start: base, count: count) }
}
