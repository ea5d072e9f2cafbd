/// One block of zero-initialized floats, aligned for vectors and cache lines.
///
/// An arena is plain memory: it is safe to read from several threads, and its owner orders writes.
public final class Arena: @unchecked Sendable {
    /// The alignment of the block, and of every offset the memory planner hands out, in bytes.
    public static let alignment = 64

    public let base: UnsafeMutablePointer<Float>
    /// The number of floats.
    public let count: Int

    public init(count: Int) {
        precondition(count >= 0)
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: Arena.alignment)
        base = raw.bindMemory(to: Float.self, capacity: max(count, 1))
        base.initialize(repeating: 0, count: max(count, 1))
        release = { UnsafeMutableRawPointer($0).deallocate() }
    }

    private let release: (UnsafeMutablePointer<Float>) -> Void

    /// Takes over memory that holds zeros and is aligned, and gives it back with `release`.
    public init(
        taking base: UnsafeMutablePointer<Float>, count: Int,
        release: @escaping (UnsafeMutablePointer<Float>) -> Void
    ) {
        precondition(UInt(bitPattern: base) % UInt(Arena.alignment) == 0)
        self.base = base
        self.count = count
        self.release = release
    }

    deinit { release(base) }

    public var byteCount: Int { count * MemoryLayout<Float>.stride }

    public var buffer: UnsafeMutableBufferPointer<Float> { .init(start: base, count: count) }
}
