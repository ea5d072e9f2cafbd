import ApusGraph
import ApusTensor
import CKernels

/// One pass of a stem's 7x7 convolution by Winograd's algorithm (see `stem.h`).
final class StemStep: Step {
    let implementation: String? = ConvolutionAlgorithm.stem.rawValue
    private var geometry: apus_stem
    private let pass: ConvolutionProblem.Pass
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private let fold: (() -> Void)?
    /// Inference keeps the transformed weights and renews them when the parameters change.
    private let keepsWeights: Bool
    private var keptWeights: UnsafeMutablePointer<Float>?
    private var cachedVersion = -1
    private var scratch: UnsafeMutablePointer<Float>?

    /// Whether the kernels can do it here.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let (window, padding) = (problem.window, problem.window.padding)
        let paddings = [padding.top, padding.left, padding.bottom, padding.right]
        return Machine.hasAVX512 && problem.pass != .inputGradient
            && problem.inputLayout == .plain && problem.outputLayout == .blocked(16)
            && window.kernel == Size(7) && window.stride == Size(2) && window.dilation == Size(1)
            && paddings.allSatisfy { (0...6).contains($0) }
            && problem.groups == 1 && problem.input[1] <= 3 && !problem.adds
            && (problem.activation == nil || problem.rectifies)
            && !(problem.pass == .weightGradient && problem.bias)
    }

    /// `fold` renews the operands' weights when the parameters have changed.
    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team,
        fold: (() -> Void)? = nil
    ) {
        precondition(StemStep.supports(problem), "no stem for \(problem.key)")
        let (input, output) = (problem.input, problem.output)
        geometry = apus_stem(
            type: problem.type.kernel, batch: input[0], channels: input[1],
            inputHeight: input[2], inputWidth: input[3], outputChannels: output[1],
            outputHeight: output[2], outputWidth: output[3], padTop: problem.window.padding.top,
            padLeft: problem.window.padding.left, rectifies: problem.rectifies)
        pass = problem.pass
        self.operands = operands
        self.team = team
        self.fold = fold
        keepsWeights = problem.inference
    }

    private var weightCount: Int { apus_stem_weight_count(&geometry) }

    /// Floats that all threads share: transformed weights, or a sum of their gradients for each.
    private var sharedCount: Int {
        if pass == .weightGradient { return weightCount * team.threads }
        return keepsWeights ? 0 : weightCount
    }

    private var own: MemberScratch { MemberScratch(apus_stem_scratch(&geometry), team) }

    var convertedCount: Int { keepsWeights ? weightCount : 0 }

    var scratchBytes: Int {
        (sharedCount + own.total) * MemoryLayout<Float>.stride
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = scratch.assumingMemoryBound(to: Float.self)
        keptWeights = keepsWeights ? converted : nil
        cachedVersion = -1
    }

    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        let (x, y) = (operands.input, operands.output)
        if pass == .weightGradient {
            let part = weightCount
            forEachThread(scratch) { member, own, begin, end in
                apus_stem_weight_gradient(
                    &geometry, x, y, scratch + member * part, own, begin, end)
            }
            apus_stem_weight_gradient_finish(
                &geometry, scratch, min(team.threads, apus_stem_units(&geometry)),
                operands.weights)
            return
        }
        let weights = keptWeights ?? scratch
        let isStale = operands.computesWeights || cachedVersion != context.parameterVersion
        if isStale { fold?() }
        if !keepsWeights || isStale {
            apus_stem_weights(&geometry, operands.weights, weights)
        }
        cachedVersion = context.parameterVersion
        forEachThread(scratch) { _, own, begin, end in
            apus_stem_forward(&geometry, x, weights, operands.bias, y, own, begin, end)
        }
    }

    /// A range of the units and scratch of its own for every member.
    private func forEachThread(
        _ scratch: UnsafeMutablePointer<Float>,
        _ body: (_ member: Int, _ own: UnsafeMutablePointer<Float>, _ begin: Int, _ end: Int) ->
            Void
    ) {
        let (own, start) = (own, scratch + sharedCount)
        team.share(apus_stem_units(&geometry)) { member, begin, end in
            body(member, own.of(member, in: start), begin, end)
        }
    }
}
