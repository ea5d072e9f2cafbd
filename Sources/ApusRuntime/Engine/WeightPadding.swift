import ApusTensor

/// Weights for more input channels than there are, with zeros for those of the padding.
///
/// oneDNN has fast kernels for the channels of a whole block, but only a reference path for an image
/// of fewer in blocked layout. The image's memory is the same for both, as its last lanes are zero.
struct WeightPadding {
    /// With the channels of a whole block.
    let shape: Shape
    let padded: Arena
    private let stored: UnsafeMutablePointer<Float>
    /// Floats of one output channel.
    private let storedRow: Int
    private let paddedRow: Int

    /// Nil where the problem needs none.
    init?(_ problem: ConvolutionProblem, _ stored: UnsafeMutablePointer<Float>) {
        guard case .blocked(let block) = problem.inputLayout, problem.pass != .inputGradient,
            problem.groups == 1, problem.input[1] < block
        else { return nil }
        self.stored = stored
        var shape = problem.weights
        storedRow = shape.count / shape[0]
        shape.dimensions[1] = block
        paddedRow = shape.count / shape[0]
        self.shape = shape
        padded = Arena(count: shape.count)
    }

    func add() {
        for row in 0..<shape[0] {
            (padded.base + row * paddedRow).update(
                from: stored + row * storedRow, count: storedRow)
        }
    }

    func remove() {
        for row in 0..<shape[0] {
            (stored + row * storedRow).update(
                from: padded.base + row * paddedRow, count: storedRow)
        }
    }
}
