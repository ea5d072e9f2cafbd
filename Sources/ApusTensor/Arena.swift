/// One block of zero-initialized floats, aligned for vectors and cache lines.
///
/// An arena is plain memory: it is safe to read from several threads, and its owner orders writes.
public final class Arena: @unchecked Sendable {
    /// The alignment of the block, and of every offset the memory planner hands out, in bytes.
    public static let alignment = 64

    public let base: UnsafeMutablePointer<Float>
    /// The number of floats.
    public let count: Int

    /// Whether the block is mapped in large pages.
    private var isMapped: Bool { byteCount >= LargePages.size }

    public init(count: Int) {
        precondition(count >= 0)
        self.count = count
        let bytes = count * MemoryLayout<Float>.stride
        if bytes >= LargePages.size {
            base = LargePages.map(bytes: bytes).bindMemory(to: Float.self, capacity: count)
        } else {
            base = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: Arena.alignment)
                .bindMemory(to: Float.self, capacity: count)
            base.initialize(repeating: 0, count: count)
        }
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
