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

    /// Whether the kernels can do it here. In use after training weights would have to be kept and
    /// results be added and rectified, which the library does well.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let window = problem.window
        return Machine.hasAVX512 && !problem.inference && problem.type == .float32
            && problem.inputLayout == .blocked(16) && problem.outputLayout == .blocked(16)
            && window.kernel == Size(1) && window.stride == Size(1)
            && window.padding == Edges(0) && problem.groups == 1
            && !problem.bias && !problem.adds && problem.activation == nil
    }

    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team
    ) {
        precondition(OneByOneStep.supports(problem), "no 1x1 convolution for \(problem.key)")
        let turns = problem.pass == .inputGradient
        let (source, target) =
            turns ? (problem.output, problem.input) : (problem.input, problem.output)
        geometry = apus_one_by_one(
            batch: source[0], sources: source[1], targets: target[1],
            pixels: source[2] * source[3], transposes: turns)
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

    var scratchBytes: Int {
        let count =
            switch pass {
            case .weightGradient: isExact ? 0 : weights[0].roundedUp(to: 4) * row
            case .forward, .inputGradient: apus_one_by_one_weight_count(&geometry)
            }
        return count * MemoryLayout<Float>.stride
    }

    func bind(scratch: UnsafeMutableRawPointer) {
        self.scratch = scratch.assumingMemoryBound(to: Float.self)
    }

    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        switch pass {
        case .forward: multiply(operands.input, operands.output, scratch)
        case .inputGradient: multiply(operands.output, operands.input, scratch)
        case .weightGradient: correlate(isExact ? operands.weights : scratch)
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
        team.split(apus_one_by_one_chunks(&geometry)) { begin, end in
            apus_one_by_one_multiply(&geometry, x, packed, y, begin, end)
        }
    }

    /// Every member sums over all pixels, for some of the channels of the wider image: that one is
    /// then read once.
    private func correlate(_ sums: UnsafeMutablePointer<Float>) {
        let x = operands.input.assumingMemoryBound(to: Float.self)
        let dy = operands.output.assumingMemoryBound(to: Float.self)
        // Four blocks of sources share what is read of a target.
        if geometry.sources > geometry.targets && sourceBlocks >= 4 * team.threads {
            team.split(sourceBlocks) { begin, end in
                apus_one_by_one_correlate(
                    &geometry, x, dy, sums, row, begin, end, 0, targetBlocks)
            }
        } else {
            team.split(targetBlocks) { begin, end in
                apus_one_by_one_correlate(
                    &geometry, x, dy, sums, row, 0, sourceBlocks, begin, end)
            }
        }
        if isExact { return }
        for output in 0..<weights[0] {
            (operands.weights + output * weights[1]).update(
                from: sums + output * row, count: weights[1])
        }
    }
}
