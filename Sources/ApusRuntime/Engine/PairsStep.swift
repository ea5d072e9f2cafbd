import ApusGraph
import ApusTensor
import CKernels

/// A weight gradient of images in brain floats (see `pairs.c`).
///
/// The results do not depend on the number of threads.
final class PairsStep: Step {
    let implementation: String? = ConvolutionAlgorithm.pairs.rawValue
    private var geometry: apus_pairs
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private var scratch: UnsafeMutablePointer<Float>?

    /// Whether the kernels can do it here.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let window = problem.window
        return Machine.hasBFloat16 && problem.type == .bfloat16 && problem.pass == .weightGradient
            && problem.inputLayout == .blocked(16) && problem.outputLayout == .blocked(16)
            && problem.groups == 1 && !problem.bias && !problem.normalizes
            && window.kernel.isSquare && window.stride.isSquare && window.dilation == Size(1)
    }

    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team
    ) {
        precondition(PairsStep.supports(problem), "no pairs of pixels for \(problem.key)")
        let (input, output, window) = (problem.input, problem.output, problem.window)
        geometry = apus_pairs(
            batch: input[0], sources: input[1], inputHeight: input[2], inputWidth: input[3],
            targets: output[1], outputHeight: output[2], outputWidth: output[3],
            kernel: window.kernel.height, stride: window.stride.height,
            padTop: window.padding.top, padLeft: window.padding.left)
        self.operands = operands
        self.team = team
    }

    private var sourceBlocks: Int { geometry.sources.dividedRoundingUp(by: 16) }
    private var targetBlocks: Int { geometry.targets.dividedRoundingUp(by: 16) }

    /// Whether members sum for some of the sources, or else of the targets: with one tap of the wider image, which is
    /// then read once, with several of the sources, of which every tap has pairs of its own. Four blocks of them share
    /// what is read of a target.
    private var splitsSources: Bool {
        sourceBlocks >= 4 * team.threads
            && (geometry.kernel > 1 || geometry.sources > geometry.targets)
    }

    private var own: MemberScratch {
        func most(_ blocks: Int) -> Int { blocks.dividedRoundingUp(by: team.threads) }
        let count = apus_pairs_scratch(
            &geometry, splitsSources ? most(sourceBlocks) : sourceBlocks,
            splitsSources ? targetBlocks : most(targetBlocks))
        return MemberScratch(count, team)
    }

    var scratchBytes: Int { own.total * MemoryLayout<Float>.stride }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = scratch.assumingMemoryBound(to: Float.self)
    }

    /// Every member sums over all pixels.
    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        let (own, splitsSources) = (own, splitsSources)
        let count = splitsSources ? sourceBlocks : targetBlocks
        team.share(count) { member, begin, end in
            let sources = splitsSources ? begin..<end : 0..<sourceBlocks
            let targets = splitsSources ? 0..<targetBlocks : begin..<end
            apus_pairs_correlate(
                &geometry, operands.input, operands.output, operands.weights,
                own.of(member, in: scratch), sources.lowerBound, sources.upperBound,
                targets.lowerBound, targets.upperBound)
        }
    }
}
