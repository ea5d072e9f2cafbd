import ApusGraph
import ApusTensor
import CKernels

/// A fully connected layer of a few vectors, or a convolution of images of one pixel, which is the same, by our
/// own kernels (see `vectors.c`): all time goes into reading the weights, which are read where they lie.
///
/// The results do not depend on the number of threads.
final class VectorStep: Step {
    /// Vectors up to which reading weights takes longer than multiplying them.
    static let most = 4

    /// Where operands lie.
    struct Operands {
        var x: UnsafePointer<Float>
        var matrix: UnsafePointer<Float>
        var bias: UnsafePointer<Float>?
        var y: UnsafeMutablePointer<Float>
        /// Whether the matrix is a result, another in every run.
        var computesMatrix = false
    }

    let implementation: String? = ConvolutionAlgorithm.vector.rawValue
    private let geometry: apus_vectors
    private let rows: Int
    private let operands: Operands
    private let team: Team
    /// Renews the weights when the parameters have changed.
    private let fold: (() -> Void)?
    private var foldedVersion = -1

    init(
        _ geometry: apus_vectors, rows: Int, _ operands: Operands, _ team: Team,
        fold: (() -> Void)? = nil
    ) {
        self.geometry = geometry
        self.rows = rows
        self.operands = operands
        self.team = team
        self.fold = fold
    }

    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let (input, output) = (problem.input, problem.output)
        return problem.inference && problem.pass == .forward && problem.type == .float32
            && problem.groups == 1 && problem.window.kernel == Size(1) && input[0] <= most
            && input[2] * input[3] == 1 && output[2] * output[3] == 1
            && !problem.adds && problem.activation == nil
    }

    convenience init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team,
        fold: (() -> Void)? = nil
    ) {
        precondition(VectorStep.supports(problem), "no product of vectors for \(problem.key)")
        let (input, output) = (problem.input, problem.output)
        self.init(
            apus_vectors(
                count: input[0], xStep: problem.inputLayout.storageCount(input) / input[0],
                yStep: problem.outputLayout.storageCount(output) / output[0], columns: input[1]),
            rows: output[1],
            Operands(
                x: operands.input.assumingMemoryBound(to: Float.self), matrix: operands.weights,
                bias: operands.bias, y: operands.output.assumingMemoryBound(to: Float.self),
                computesMatrix: operands.computesWeights),
            team, fold: fold)
    }

    /// Folded weights are this step's alone.
    var keptBytes: Int { fold == nil ? 0 : rows * geometry.columns * MemoryLayout<Float>.stride }
    var scratchBytes: Int { 0 }
    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        foldedVersion = -1
    }

    func run(_ context: RunContext) {
        let o = operands
        if let fold, o.computesMatrix || foldedVersion != context.parameterVersion {
            fold()
            foldedVersion = context.parameterVersion
        }
        // Waking the team takes as long as reading some thousand weights.
        let grain = rows * geometry.columns < 1 << 13 ? rows + 1 : 2
        withUnsafePointer(to: geometry) { geometry in
            team.split(rows, grain: grain) { begin, end in
                apus_vector_products(geometry, o.x, o.matrix, o.bias, o.y, begin, end)
            }
        }
        // Lanes past the last channel.
        for n in 0..<geometry.count {
            (o.y + n * geometry.yStep + rows).update(repeating: 0, count: geometry.yStep - rows)
        }
    }
}
