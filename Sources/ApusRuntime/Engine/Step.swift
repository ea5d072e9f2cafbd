import ApusTensor

/// What changes from run to run.
struct RunContext {
    /// Refined by operation and element, it decides what dropout zeroes.
    var randomKey: RandomKey
    /// The parameters' version: prepared copies of weights of an older one are stale.
    var parameterVersion: Int
}

/// One prepared operation: its pointers are fixed, running it cannot fail and allocates nothing.
protocol Step: AnyObject {
    /// Scratch memory the step uses while it runs; it holds other values before and after.
    var scratchBytes: Int { get }
    /// Floats of converted weights that the step keeps between runs, in memory of the session's. Where there are any,
    /// it never reads the operands' weights but right after they were renewed.
    var convertedCount: Int { get }
    /// Memory of its own: weights that are stored for it alone.
    var keptBytes: Int { get }
    /// What the library's primitives compute that it uses. Of those that compute the same the library keeps one.
    var primitives: [String] { get }
    /// The name of the kernel: the library's, or that of our convolutions; nil for our other ones.
    var implementation: String? { get }
    /// Says where its memory lies; `converted` holds zeros, and is not used if there are no converted weights.
    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) throws
    func run(_ context: RunContext)
}

extension Step {
    var implementation: String? { nil }
    var convertedCount: Int { 0 }
    var keptBytes: Int { 0 }
    var primitives: [String] { [] }
}

/// A step of one of our own kernels.
final class KernelStep: Step {
    let scratchBytes: Int
    private var scratch: UnsafeMutablePointer<Float>?
    private let body: (UnsafeMutablePointer<Float>, RunContext) -> Void

    /// `scratch` counts floats.
    init(
        scratch count: Int = 0,
        _ body: @escaping (_ scratch: UnsafeMutablePointer<Float>, _ context: RunContext) -> Void
    ) {
        scratchBytes = count * MemoryLayout<Float>.stride
        self.body = body
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = scratch.assumingMemoryBound(to: Float.self)
    }

    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        body(scratch, context)
    }
}

/// A step of one library primitive whose arguments are all in place.
final class PrimitiveStep: Step {
    private let primitive: Primitive
    init(_ primitive: Primitive) { self.primitive = primitive }
    var implementation: String? { primitive.implementation }
    var scratchBytes: Int { primitive.scratchBytes }
    var primitives: [String] { ["\(ObjectIdentifier(primitive))"] }
    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) throws {
        try primitive.setScratch(scratch)
    }
    func run(_ context: RunContext) { primitive.execute() }
}
