import CKernels

/// Working memory of one thread that transforms images.
public final class TransformScratch {
    let horizontal = AxisFilter()
    let vertical = AxisFilter()
    /// The steps of a view, and of a pass over its pixels: kept to keep their memory.
    var steps: [PixelStep] = []
    var pending: [apus_pixel_step] = []
    /// Where the time goes; nil if nobody asks.
    package var clock: StageClock?

    private var memory: UnsafeMutablePointer<Float>?
    private var capacity = 0
    private var byteMemory: UnsafeMutablePointer<UInt8>?
    private var byteCapacity = 0

    public init() {}

    deinit {
        memory?.deallocate()
        byteMemory?.deallocate()
    }

    /// At least `count` floats, valid until the next call; their values are arbitrary.
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        if let memory, capacity >= count { return memory }
        memory?.deallocate()
        let fresh = UnsafeMutablePointer<Float>.allocate(capacity: count)
        memory = fresh
        capacity = count
        return fresh
    }

    /// At least `count` bytes, valid until the next call; their values are arbitrary.
    func bytes(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        if let byteMemory, byteCapacity >= count { return byteMemory }
        byteMemory?.deallocate()
        let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
        byteMemory = fresh
        byteCapacity = count
        return fresh
    }
}
