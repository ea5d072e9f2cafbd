import ApusTensor

/// Weights of more input channels than there are, zero where there is nothing to multiply.
///
/// oneDNN has fast kernels for channels that fill whole blocks, in every group, but only a scalar
/// reference path for groups that do not, and for an image of fewer channels in blocked layout. So
/// several groups become one, in which every output channel sees the others' channels with weights of
/// zero, and a lone group of few channels is told of its block's empty lanes. The image's memory
/// is the same for both. Merging m groups takes m times the multiply-adds, on vectors.
struct WeightPadding {
    /// [out, in / groups, height, width] with the channels of a whole block or of several groups.
    let shape: Shape
    let groups: Int
    let padded: Arena
    private let stored: UnsafeMutablePointer<Float>
    /// Floats of one output channel.
    private let storedRow: Int
    private let paddedRow: Int
    /// Output channels of a stored group, and how many such groups are one.
    private let perGroup: Int
    private let merged: Int

    /// Nil where the problem needs none.
    init?(_ problem: ConvolutionProblem, _ stored: UnsafeMutablePointer<Float>) {
        guard case .blocked(let block) = problem.outputLayout else { return nil }
        let (outputs, inputs) = (problem.weights[0], problem.weights[1])
        merged = Self.groupsToMerge(
            problem.groups, inputs: inputs, outputs: outputs / problem.groups, block)
        groups = problem.groups / merged
        var channels = inputs * merged
        if groups == 1, problem.inputLayout == .blocked(block), problem.pass != .inputGradient {
            channels = max(channels, block)
        }
        guard merged > 1 || channels > inputs else { return nil }
        self.stored = stored
        perGroup = outputs / problem.groups
        var shape = problem.weights
        storedRow = shape.count / outputs
        shape.dimensions[1] = channels
        paddedRow = shape.count / outputs
        self.shape = shape
        padded = Arena(count: shape.count)
    }

    /// The fewest that together fill whole blocks on both sides; all where no number does.
    static func groupsToMerge(_ groups: Int, inputs: Int, outputs: Int, _ block: Int) -> Int {
        // The library has kernels for groups of a single channel.
        guard groups > 1, inputs * outputs > 1 else { return 1 }
        return (1...groups).first {
            groups % $0 == 0 && inputs * $0 % block == 0 && outputs * $0 % block == 0
        } ?? groups
    }

    /// Where the stored weights of an output channel begin among the padded ones.
    private func start(_ row: Int) -> Int {
        row * paddedRow + row / perGroup % merged * storedRow
    }

    func add() {
        for row in 0..<shape[0] {
            (padded.base + start(row)).update(from: stored + row * storedRow, count: storedRow)
        }
    }

    func remove() {
        for row in 0..<shape[0] {
            (stored + row * storedRow).update(from: padded.base + start(row), count: storedRow)
        }
    }
}
