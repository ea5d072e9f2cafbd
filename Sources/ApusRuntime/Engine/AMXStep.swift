import ApusGraph
import ApusTensor
import CKernels

/// One pass of a convolution of brain floats by our own kernels for tile registers (see `amx.h`).
///
/// The results do not depend on the number of threads.
final class AMXStep: Step {
    let implementation: String? = ConvolutionAlgorithm.amx.rawValue
    /// The convolution, or the parts of an input gradient: one for every phase of a stride.
    private var geometries: [apus_amx]
    private let problem: ConvolutionProblem
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private let fold: (() -> Void)?
    private let keepsWeights: Bool
    /// In use: weights and bias as the kernels read them, renewed when the parameters change.
    private var kept: UnsafeMutableRawPointer?
    private var keptVersion = -1
    private var scratch: UnsafeMutablePointer<Float>?

    /// Whether the kernels can do it, though slowly on a processor without tiles.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let window = problem.window
        let isGradient = problem.pass != .forward
        let isPlain = problem.inputLayout == .plain && problem.input[1] <= 4
        return Machine.hasBFloat16 && problem.type == .bfloat16 && problem.groups == 1
            && (problem.inputLayout == .blocked(16) || isPlain && problem.pass != .inputGradient)
            && problem.outputLayout == .blocked(16)
            && window.kernel.isSquare && window.kernel.height <= 7 && window.stride.isSquare
            && window.dilation == Size(1)
            && !(isGradient && (problem.bias || problem.adds || problem.activation != nil))
            && [nil, .relu, .relu6, .silu].contains(problem.activation)
    }

    /// `fold` renews the operands' weights when the parameters have changed.
    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team,
        fold: (() -> Void)? = nil
    ) {
        precondition(AMXStep.supports(problem), "no convolution by tiles for \(problem.key)")
        self.problem = problem
        self.operands = operands
        self.team = team
        self.fold = fold
        geometries =
            switch problem.pass {
            case .forward: [AMXStep.convolution(problem)]
            case .inputGradient: AMXStep.inputGradient(problem)
            case .weightGradient: [AMXStep.weightGradient(problem)]
            }
        for i in geometries.indices {
            geometries[i].members = team.threads
            geometries[i].flatten()
        }
        keepsWeights = problem.inference && problem.pass == .forward
    }

    private static func biasCount(_ problem: ConvolutionProblem) -> Int {
        problem.bias ? problem.output[1].roundedUp(to: 16) : 0
    }

    private static func weightBytes(_ geometries: [apus_amx]) -> Int {
        geometries.reduce(0) { $0 + withUnsafePointer(to: $1, apus_amx_weight_bytes) }
    }

    /// Forward.
    private static func convolution(_ problem: ConvolutionProblem) -> apus_amx {
        let (input, output, window) = (problem.input, problem.output, problem.window)
        var o = apus_amx()
        (o.batch, o.sources, o.targets) = (input[0], input[1], output[1])
        (o.sourceHeight, o.sourceWidth) = (input[2], input[3])
        (o.targetHeight, o.targetWidth) = (output[2], output[3])
        (o.rows, o.columns, o.step) = (output[2], output[3], 1)
        o.kernel = window.kernel.height
        (o.rowTaps, o.columnTaps, o.tapStep) = (o.kernel, o.kernel, 1)
        (o.stride, o.top, o.left) = (
            window.stride.height, window.padding.top, window.padding.left
        )
        o.isPlain = problem.inputLayout == .plain
        o.adds = problem.adds
        o.activation = problem.activation?.kernel.0 ?? apus_identity
        return o
    }

    /// Targets have to be turned: with one tap they are the narrower image, whichever it is.
    private static func weightGradient(_ problem: ConvolutionProblem) -> apus_amx {
        let forward = convolution(problem)
        guard problem.window.kernel == Size(1), problem.window.padding == Edges(0),
            forward.sources < forward.targets, !forward.isPlain
        else { return forward }
        var o = forward
        (o.sources, o.targets) = (forward.targets, forward.sources)
        (o.sourceHeight, o.sourceWidth) = (forward.targetHeight, forward.targetWidth)
        (o.targetHeight, o.targetWidth) = (forward.sourceHeight, forward.sourceWidth)
        (o.stride, o.step, o.transposes) = (1, forward.stride, true)
        return o
    }

    /// Pixels of the input that are the same modulo the stride meet the same weights: every such phase is
    /// a convolution of the output's gradient with some of the kernel, turned round.
    private static func inputGradient(_ problem: ConvolutionProblem) -> [apus_amx] {
        let (input, output, window) = (problem.input, problem.output, problem.window)
        let stride = window.stride.height
        let kernel = window.kernel.height
        /// The taps of a phase, the first's place in the kernel, and how far before the pixel it lies.
        func taps(_ phase: Int, _ padding: Int) -> (count: Int, first: Int, before: Int) {
            let last = (phase + padding) % stride
            let count = last < kernel ? (kernel - 1 - last) / stride + 1 : 0
            return (count, last + stride * (count - 1), count - 1 - (phase + padding) / stride)
        }
        return (0..<stride * stride).compactMap { phase in
            let (row, column) = (phase / stride, phase % stride)
            guard row < input[2], column < input[3] else { return nil }
            let rows = taps(row, window.padding.top)
            let columns = taps(column, window.padding.left)
            var o = apus_amx()
            (o.batch, o.sources, o.targets) = (input[0], output[1], input[1])
            (o.sourceHeight, o.sourceWidth) = (output[2], output[3])
            (o.targetHeight, o.targetWidth) = (input[2], input[3])
            (o.rows, o.columns) = (
                (input[2] - row + stride - 1) / stride, (input[3] - column + stride - 1) / stride
            )
            (o.step, o.firstRow, o.firstColumn) = (stride, row, column)
            (o.rowTaps, o.columnTaps, o.stride) = (rows.count, columns.count, 1)
            (o.top, o.left) = (rows.before, columns.before)
            (o.kernel, o.tapStep, o.transposes) = (kernel, -stride, true)
            (o.firstTapRow, o.firstTapColumn) = (rows.first, columns.first)
            return o
        }
    }

    var convertedCount: Int {
        keepsWeights ? AMXStep.weightBytes(geometries) / 4 + AMXStep.biasCount(problem) : 0
    }

    private var sourceBlocks: Int { (geometries[0].sources + 15) / 16 }
    private var targetBlocks: Int { (geometries[0].targets + 15) / 16 }

    /// Whether members sum for some of the sources, or else of the targets: of the wider image, which is
    /// then arranged once.
    private var splitsSources: Bool {
        sourceBlocks > targetBlocks && sourceBlocks >= 4 * team.threads
    }

    /// The largest share of one member, in blocks.
    private func share(_ blocks: Int) -> Int {
        (((blocks + 1) / 2 + team.threads - 1) / team.threads) * 2
    }
    private var mostSources: Int { splitsSources ? share(sourceBlocks) : sourceBlocks }
    private var mostTargets: Int { splitsSources ? targetBlocks : share(targetBlocks) }

    /// Floats of weights and bias, which all members share.
    private var sharedCount: Int {
        problem.pass == .weightGradient || keepsWeights
            ? 0 : AMXStep.weightBytes(geometries) / 4 + AMXStep.biasCount(problem)
    }

    /// Floats of one member's sums.
    private var sumCount: Int {
        problem.pass == .weightGradient
            ? apus_amx_sum_count(&geometries[0], mostSources, mostTargets) : 0
    }

    /// For sums and arranged images.
    private var own: MemberScratch {
        let bytes =
            problem.pass == .weightGradient
            ? apus_amx_gradient_scratch(&geometries[0], mostTargets)
            : geometries.indices.map { apus_amx_scratch(&geometries[$0]) }.max() ?? 0
        return MemberScratch(
            sumCount + bytes.dividedRoundingUp(by: MemoryLayout<Float>.stride), team)
    }

    var scratchBytes: Int { (sharedCount + own.total) * MemoryLayout<Float>.stride }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        self.scratch = scratch.assumingMemoryBound(to: Float.self)
        kept = keepsWeights ? UnsafeMutableRawPointer(converted) : nil
        keptVersion = -1
    }

    func run(_ context: RunContext) {
        guard let scratch else { preconditionFailure("a step ran before it was bound") }
        switch problem.pass {
        case .forward:
            multiply(operands.input, operands.output, scratch, context.parameterVersion)
        case .inputGradient:
            multiply(operands.output, operands.input, scratch, context.parameterVersion)
        case .weightGradient: correlate(scratch)
        }
    }

    private func multiply(
        _ x: UnsafeMutableRawPointer, _ y: UnsafeMutableRawPointer,
        _ scratch: UnsafeMutablePointer<Float>, _ version: Int
    ) {
        let weights = kept ?? UnsafeMutableRawPointer(scratch)
        let (own, scratch) = (own, scratch + sharedCount)
        let isStale = operands.computesWeights || keptVersion != version
        if isStale { fold?() }
        let isWanted = isStale || !keepsWeights
        let bias = operands.bias.map { from in
            let to = (weights + AMXStep.weightBytes(geometries)).assumingMemoryBound(to: Float.self)
            if isWanted {
                to.update(from: from, count: problem.output[1])
                (to + problem.output[1]).update(
                    repeating: 0, count: AMXStep.biasCount(problem) - problem.output[1])
            }
            return to
        }
        var packed = weights
        for i in geometries.indices {
            if isWanted {
                team.split(apus_amx_pairs(&geometries[i])) { [packed] begin, end in
                    apus_amx_weights(&geometries[i], operands.weights, packed, begin, end)
                }
            }
            // Where parts cannot be shared equally, the members share out the channels of each.
            let parts = apus_amx_parts(&geometries[i])
            let isEnough = parts % team.threads == 0 || parts >= 4 * team.threads
            let splits = isEnough ? 1 : min(team.threads, apus_amx_pairs(&geometries[i]))
            team.run { [packed] member in
                let units = parts * splits
                apus_amx_multiply(
                    &geometries[i], x, packed, bias, y, own.of(member, in: scratch), splits,
                    units * member / team.threads, units * (member + 1) / team.threads)
            }
            packed += apus_amx_weight_bytes(&geometries[i])
        }
        keptVersion = version
    }

    /// Every member sums over all pixels.
    private func correlate(_ scratch: UnsafeMutablePointer<Float>) {
        let (own, sumCount, splits, most) = (own, sumCount, splitsSources, mostTargets)
        let turns = geometries[0].transposes
        let (x, dy) = turns ? (operands.output, operands.input) : (operands.input, operands.output)
        let pairs = ((splits ? sourceBlocks : targetBlocks) + 1) / 2
        team.run { member in
            let first = pairs * member / team.threads * 2
            let last = pairs * (member + 1) / team.threads * 2
            if first == last { return }
            let sums = own.of(member, in: scratch)
            let sources = splits ? first..<min(last, sourceBlocks) : 0..<sourceBlocks
            let targets = splits ? 0..<targetBlocks : first..<min(last, targetBlocks)
            apus_amx_correlate(
                &geometries[0], x, dy, operands.weights, sums, sums + sumCount, most,
                sources.lowerBound, sources.upperBound, targets.lowerBound,
                targets.upperBound)
        }
    }
}

extension apus_amx {
    /// Without a window the rows of a small image are one: what is consecutive is moved at once.
    fileprivate mutating func flatten() {
        let pixels = rows * columns
        guard rowTaps * columnTaps == 1, stride == 1, step == 1, top == 0, left == 0, !isPlain,
            sourceHeight * sourceWidth == pixels, targetHeight * targetWidth == pixels,
            pixels <= 1024
        else { return }
        (rows, columns) = (1, pixels)
        (sourceHeight, sourceWidth) = (1, pixels)
        (targetHeight, targetWidth) = (1, pixels)
    }
}
