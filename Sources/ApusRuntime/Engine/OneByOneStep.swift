import ApusGraph
import ApusTensor
import CKernels

/// One pass of a 1x1 convolution by our own kernels (see `onebyone.h`).
///
/// The results do not depend on the number of threads.
final class OneByOneStep: Step {
    let implementation: String? = ConvolutionAlgorithm.oneByOne.rawValue
    private var geometry: apus_one_by_one
    private let pass: ConvolutionProblem.Pass
    private let operands: ConvolutionStep.Operands
    private let weights: Shape
    private let team: Team
    private var scratch: UnsafeMutablePointer<Float>?

    /// Whether the kernels can do it here. Of brain floats the library makes images near the peak, `PairsStep` weights.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        fits(problem) && problem.window.stride == Size(1) && problem.type == .float32
    }

    /// Whether it is a 1x1 convolution in training. In use weights would have to be kept and results be rectified,
    /// which the library does well.
    static func fits(_ problem: ConvolutionProblem) -> Bool {
        let window = problem.window
        return Machine.hasAVX512 && !problem.inference
            && problem.inputLayout == .blocked(16) && problem.outputLayout == .blocked(16)
            && window.kernel == Size(1) && window.padding == Edges(0) && problem.groups == 1
            && !problem.bias && problem.activation == nil
    }

    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team
    ) {
        precondition(OneByOneStep.supports(problem), "no 1x1 convolution for \(problem.key)")
        geometry = problem.oneByOne(operands)
        pass = problem.pass
        weights = problem.weights
        self.operands = operands
        self.team = team
    }

    private var sourceBlocks: Int { (geometry.sources + 15) / 16 }
    private var targetBlocks: Int { (geometry.targets + 15) / 16 }

    /// Floats in a row of the kernels' weight gradient.
    private var row: Int { sourceBlocks * 16 }
    /// Whether the kernels' weight gradient is the stored one: whole blocks of rows.
    private var isExact: Bool { weights[1] == row && weights[0] % 4 == 0 }

    /// Floats of the kernels' weight gradient where it is not the stored one.
    private var sumCount: Int { isExact ? 0 : weights[0].roundedUp(to: 4) * row }

    /// Whether members sum for some of the sources, or else of the targets: of the wider image, which is
    /// then read once. Four blocks of sources share what is read of a target.
    private var splitsSources: Bool {
        geometry.sources > geometry.targets && sourceBlocks >= 4 * team.threads
    }

    /// Floats that all members share: packed weights or sums.
    private var sharedCount: Int {
        switch pass {
        case .weightGradient: sumCount
        case .forward, .inputGradient: apus_one_by_one_weight_count(&geometry)
        }
    }

    /// For normalized pixels.
    private var own: MemberScratch {
        MemberScratch(apus_one_by_one_scratch(&geometry, sourceBlocks), team)
    }

    var scratchBytes: Int {
        (operands.vectorCount + sharedCount + own.total) * MemoryLayout<Float>.stride
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = operands.place(
            scratch.assumingMemoryBound(to: Float.self), in: &geometry)
    }

    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        operands.normalize(geometry)
        switch pass {
        case .forward: multiply(operands.input, operands.output, scratch)
        case .inputGradient: multiply(operands.output, operands.input, scratch)
        case .weightGradient: correlate(scratch)
        }
    }

    private func multiply(
        _ x: UnsafeMutableRawPointer, _ y: UnsafeMutableRawPointer,
        _ packed: UnsafeMutablePointer<Float>
    ) {
        let (x, y) = (
            x.assumingMemoryBound(to: Float.self), y.assumingMemoryBound(to: Float.self)
        )
        team.split(targetBlocks) { begin, end in
            apus_one_by_one_weights(&geometry, operands.weights, packed, begin, end)
        }
        let (own, scratch) = (own, packed + sharedCount)
        team.share(apus_one_by_one_chunks(&geometry)) { member, begin, end in
            apus_one_by_one_multiply(
                &geometry, x, packed, y, own.of(member, in: scratch), begin, end)
        }
    }

    /// Every member sums over all pixels.
    private func correlate(_ scratch: UnsafeMutablePointer<Float>) {
        let sums = isExact ? operands.weights : scratch
        let (own, ownStart) = (own, scratch + sharedCount)
        let (count, splitsSources) = (splitsSources ? sourceBlocks : targetBlocks, splitsSources)
        team.share(count) { member, begin, end in
            let sources = splitsSources ? begin..<end : 0..<sourceBlocks
            let targets = splitsSources ? 0..<targetBlocks : begin..<end
            apus_one_by_one_correlate(
                &geometry, operands.input.assumingMemoryBound(to: Float.self),
                operands.output.assumingMemoryBound(to: Float.self), sums, row,
                own.of(member, in: ownStart), sources.lowerBound, sources.upperBound,
                targets.lowerBound, targets.upperBound)
        }
        if isExact { return }
        for output in 0..<weights[0] {
            (operands.weights + output * weights[1]).update(
                from: sums + output * row, count: weights[1])
        }
    }
}

extension ConvolutionProblem {
    /// As the kernels for 1x1 convolutions know it.
    func oneByOne(_ operands: ConvolutionStep.Operands) -> apus_one_by_one {
        let turns = pass == .inputGradient
        let (source, target) = turns ? (output, input) : (input, output)
        let normalization = operands.normalization
        precondition((normalization != nil) == normalizes, "nobody says how to normalize")
        // Where the vectors lie is known when the step is bound; until then they are somewhere.
        return apus_one_by_one(
            batch: source[0], sources: source[1], targets: target[1],
            sourceBlocks: normalization?.blocks ?? (source[1] + 15) / 16,
            pixels: source[2] * source[3], transposes: turns,
            normalization: normalization.map { UnsafePointer($0.mean) },
            rectifies: normalization?.rectifies ?? false, adds: adds,
            signs: operands.signs.map { UnsafeRawPointer($0) })
    }
}

extension ConvolutionStep.Operands {
    /// Floats of what kernels normalize with, the first of a step's scratch memory.
    var vectorCount: Int { normalization?.vectorCount ?? 0 }

    /// Tells kernels where that is; returns what lies behind it.
    func place(
        _ vectors: UnsafeMutablePointer<Float>, in geometry: inout apus_one_by_one
    ) -> UnsafeMutablePointer<Float> {
        if normalization != nil { geometry.normalization = UnsafePointer(vectors) }
        return vectors + vectorCount
    }

    /// Writes it, where a step has bound it.
    func normalize(_ geometry: apus_one_by_one) {
        guard let normalization, let vectors = geometry.normalization else { return }
        normalization.fill(UnsafeMutablePointer(mutating: vectors))
    }
}
