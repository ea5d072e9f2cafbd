import ApusGraph
import ApusTensor
import CKernels

/// A convolution in use, summed directly by our own kernels (see `direct.c`).
///
/// The results do not depend on the number of threads.
final class DirectStep: Step {
    let implementation: String? = ConvolutionAlgorithm.ownDirect.rawValue
    private var geometry: apus_direct
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private let fold: (() -> Void)?
    /// Weights and bias as the kernels read them, renewed when the parameters change.
    private var kept: UnsafeMutablePointer<Float>?
    private var keptVersion = -1
    private var scratch: UnsafeMutablePointer<Float>?

    /// Whether the kernels can do it here, and it is what they are for: 1x1 convolutions, and few pixels.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let (window, output) = (problem.window, problem.output)
        let isOneByOne = window.kernel == Size(1) && window.stride == Size(1)
        return Machine.hasAVX512 && problem.inference && problem.pass == .forward
            && problem.type == .float32 && problem.groups == 1
            && problem.inputLayout == .blocked(16) && problem.outputLayout == .blocked(16)
            && [nil, .relu, .relu6, .silu].contains(problem.activation)
            && [1, 3, 5].contains(window.kernel.height) && window.kernel.isSquare
            && window.stride.isSquare && window.dilation.isSquare
            && (isOneByOne ? window.padding == Edges(0) : output[0] * output[2] * output[3] <= 256)
    }

    /// `fold` renews the operands' weights when the parameters have changed.
    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team,
        fold: (() -> Void)? = nil
    ) {
        precondition(DirectStep.supports(problem), "no direct convolution for \(problem.key)")
        let (input, output, window) = (problem.input, problem.output, problem.window)
        geometry = apus_direct(
            batch: input[0], inputChannels: input[1], inputHeight: input[2], inputWidth: input[3],
            outputChannels: output[1], outputHeight: output[2], outputWidth: output[3],
            kernel: window.kernel.height, stride: window.stride.height,
            dilation: window.dilation.height, padTop: window.padding.top,
            padLeft: window.padding.left, adds: problem.adds,
            activation: problem.activation?.kernel.0 ?? apus_identity)
        self.operands = operands
        self.team = team
        self.fold = fold
    }

    var convertedCount: Int {
        apus_direct_weight_count(&geometry) + geometry.outputChannels.roundedUp(to: 16)
    }

    var scratchBytes: Int {
        apus_direct_input_count(&geometry) * MemoryLayout<Float>.stride
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = scratch.assumingMemoryBound(to: Float.self)
        kept = converted
        keptVersion = -1
    }

    func run(_ context: RunContext) {
        guard let scratch, let weights = kept else {
            preconditionFailure("a step ran before it was bound")
        }
        let bias = operands.bias.map { _ in weights + apus_direct_weight_count(&geometry) }
        if operands.computesWeights || keptVersion != context.parameterVersion {
            fold?()
            team.split(apus_direct_pairs(&geometry)) { begin, end in
                apus_direct_weights(&geometry, operands.weights, weights, begin, end)
            }
            if let from = operands.bias { bias?.update(from: from, count: geometry.outputChannels) }
            keptVersion = context.parameterVersion
        }
        var x = UnsafePointer(operands.input.assumingMemoryBound(to: Float.self))
        if apus_direct_input_count(&geometry) > 0 {
            let planes = geometry.batch * ((geometry.inputChannels + 15) / 16)
            team.split(planes) { [x] begin, end in
                apus_direct_input(&geometry, x, scratch, begin, end)
            }
            x = UnsafePointer(scratch)
        }
        let y = operands.output.assumingMemoryBound(to: Float.self)
        team.split(apus_direct_units(&geometry)) { [x] begin, end in
            apus_direct_multiply(&geometry, x, weights, bias, y, begin, end)
        }
    }
}
