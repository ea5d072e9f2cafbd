import ApusGraph
import ApusTensor
import CKernels

/// One pass of a 1x1 convolution with many channels by Strassen's algorithm (see `strassen.h`).
///
/// The results do not depend on the number of threads.
final class StrassenStep: Step {
    let implementation: String? = ConvolutionAlgorithm.strassen.rawValue
    private var geometry: apus_strassen
    private let pass: ConvolutionProblem.Pass
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private var scratch: UnsafeMutablePointer<Float>?

    /// Whether the kernels can do it here: images in pairs, and halves of the channels in whole blocks, with a
    /// stride in pairs of them.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let stride = problem.window.stride
        let parts = stride == Size(1) ? 32 : 64
        return OneByOneStep.fits(problem) && problem.type == .float32
            && stride.height == stride.width && problem.input[0].isMultiple(of: 2)
            && [problem.input[1], problem.output[1]].allSatisfy {
                $0.isMultiple(of: parts) && $0 >= 64
            }
            && (stride == Size(1) || !problem.adds)
    }

    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team
    ) {
        precondition(StrassenStep.supports(problem), "no quarters of \(problem.key)")
        var small = problem
        small.input = Shape([problem.input[0], problem.input[1]] + problem.output.dimensions[2...])
        geometry = apus_strassen(
            o: small.oneByOne(operands), stride: problem.window.stride.height,
            width: problem.output[3],
            inputHeight: problem.input[2], inputWidth: problem.input[3])
        pass = problem.pass
        self.operands = operands
        self.team = team
    }

    private var sources: Int { geometry.o.sources }
    private var targets: Int { geometry.o.targets }

    /// Floats of the seven sums of products of a weight gradient.
    private var sumCount: Int { sources * targets / 4 * 7 }

    /// Floats of the pixels that a stride meets, as images of their own.
    private var gatheredCount: Int {
        geometry.stride > 1 ? geometry.o.batch * sources * geometry.o.pixels : 0
    }

    /// What is summed for a weight gradient: the images, or what a stride meets of them.
    private var summed: apus_strassen {
        var summed = geometry
        if summed.stride > 1 { (summed.stride, summed.o.sourceBlocks) = (1, sources / 16) }
        return summed
    }

    /// Floats that all threads share: the weights and the sums of their quarters, or seven sums of products and what
    /// was gathered for them.
    private var sharedCount: Int {
        switch pass {
        case .forward, .inputGradient: 2 * apus_one_by_one_weight_count(&geometry.o)
        case .weightGradient: sumCount + gatheredCount
        }
    }

    /// Whether members sum for some of the sources, or else of the targets: of the wider image, unless only the other's
    /// blocks can be shared out equally.
    private var splitsSources: Bool {
        let isEqual = [sources, targets].map { ($0 / 32).isMultiple(of: team.threads) }
        return isEqual[0] == isEqual[1] ? sources > targets : isEqual[0]
    }

    /// Channel blocks of half an image that a member sums for: of all members' the most.
    private var halves: (sources: Int, targets: Int) {
        func most(_ blocks: Int) -> Int { (blocks + team.threads - 1) / team.threads }
        return splitsSources
            ? (most(sources / 32), targets / 32) : (sources / 32, most(targets / 32))
    }

    private var own: MemberScratch {
        switch pass {
        case .forward, .inputGradient: MemberScratch(apus_strassen_scratch(&geometry), team)
        case .weightGradient:
            MemberScratch(
                withUnsafePointer(to: summed) {
                    apus_strassen_gradient_scratch($0, halves.sources, halves.targets)
                }, team)
        }
    }

    var scratchBytes: Int {
        (operands.vectorCount + sharedCount + own.total) * MemoryLayout<Float>.stride
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = operands.place(
            scratch.assumingMemoryBound(to: Float.self), in: &geometry.o)
    }

    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        operands.normalize(geometry.o)
        let input = operands.input.assumingMemoryBound(to: Float.self)
        let output = operands.output.assumingMemoryBound(to: Float.self)
        switch pass {
        case .forward: multiply(input, output, scratch)
        case .inputGradient: multiply(output, input, scratch)
        case .weightGradient: correlate(input, output, scratch)
        }
    }

    private func multiply(
        _ x: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>,
        _ packed: UnsafeMutablePointer<Float>
    ) {
        let sums = packed + apus_one_by_one_weight_count(&geometry.o)
        let (own, scratch) = (own, packed + sharedCount)
        team.split(apus_strassen_weight_units(&geometry)) { begin, end in
            apus_strassen_weights(&geometry, operands.weights, packed, sums, begin, end)
        }
        let chunks = apus_strassen_chunks(&geometry)
        team.share(chunks) { member, begin, end in
            apus_strassen_multiply(
                &geometry, x, packed, sums, y, own.of(member, in: scratch), begin, end)
        }
    }

    /// Every member sums over all pixels.
    private func correlate(
        _ x: UnsafeMutablePointer<Float>, _ dy: UnsafeMutablePointer<Float>,
        _ sums: UnsafeMutablePointer<Float>
    ) {
        let (own, scratch, splitsSources) = (own, sums + sharedCount, splitsSources)
        var (summed, x) = (summed, x)
        if geometry.stride > 1 {
            // Once: the sums are made by parts, each of which reads them again.
            let gathered = sums + sumCount
            team.split(geometry.o.batch * (sources / 16)) { [x] begin, end in
                apus_strassen_gather(&geometry, x, gathered, begin, end)
            }
            x = gathered
        }
        let count = (splitsSources ? sources : targets) / 32
        team.share(count) { [x] member, begin, end in
            let sources = splitsSources ? begin..<end : 0..<sources / 32
            let targets = splitsSources ? 0..<targets / 32 : begin..<end
            apus_strassen_correlate(
                &summed, x, dy, sums, own.of(member, in: scratch), sources.lowerBound,
                sources.upperBound, targets.lowerBound, targets.upperBound)
        }
        team.split(targets / 2) { begin, end in
            apus_strassen_join(&geometry, sums, operands.weights, begin, end)
        }
    }
}
