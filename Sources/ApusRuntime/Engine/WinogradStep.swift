import ApusGraph
import ApusTensor
import CKernels

/// One pass of a 3x3 convolution by our own kernels (see `winograd.h`).
final class WinogradStep: Step {
    /// What the threads share out.
    enum Split {
        /// Tiles of the images: for many of them. Weight gradients are summed over the threads.
        case tiles
        /// Output channels: for few tiles and many channels.
        case channels
    }

    let implementation: String?
    private var geometry: apus_winograd
    private let pass: ConvolutionProblem.Pass
    private let split: Split
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private let fold: (() -> Void)?
    /// Units of tiles that a thread does at a time.
    private let stride: Int
    /// Inference keeps the transformed weights and renews them when the parameters change.
    private let keepsWeights: Bool
    private var keptWeights: UnsafeMutablePointer<Float>?
    private var cachedVersion = -1
    private var scratch: UnsafeMutablePointer<Float>?

    /// The most padding at the top and left.
    private static func mostPadding(_ window: Window) -> Int { window.stride == Size(2) ? 1 : 2 }

    /// Whether the kernels can do it here.
    static func supports(_ problem: ConvolutionProblem) -> Bool {
        let (w, p) = (problem.window, problem.window.padding)
        let most = mostPadding(w)
        return Machine.hasAVX512
            && problem.inputLayout == .blocked(16) && problem.outputLayout == .blocked(16)
            && w.kernel == Size(3) && w.dilation == Size(1)
            && (w.stride == Size(1) || w.stride == Size(2))
            && problem.groups == 1 && (problem.activation == nil || problem.rectifies)
            && [p.top, p.left].allSatisfy { (0...most).contains($0) }
            && [p.bottom, p.right].allSatisfy { (0...2).contains($0) }
            && !(problem.pass == .weightGradient && problem.bias)
    }

    /// `fold` renews the operands' weights when the parameters have changed.
    init(
        _ problem: ConvolutionProblem, _ split: Split, _ operands: ConvolutionStep.Operands,
        _ team: Team, fold: (() -> Void)? = nil
    ) {
        precondition(WinogradStep.supports(problem), "no Winograd convolution for \(problem.key)")
        let padding = problem.window.padding
        // The input gradient is a convolution of the output's gradient.
        let most = WinogradStep.mostPadding(problem.window)
        let turns = problem.pass == .inputGradient
        let (source, target) =
            turns ? (problem.output, problem.input) : (problem.input, problem.output)
        geometry = apus_winograd(
            type: problem.type.kernel, batch: source[0],
            inputChannels: source[1], inputHeight: source[2], inputWidth: source[3],
            outputChannels: target[1], outputHeight: target[2], outputWidth: target[3],
            padTop: turns ? most - padding.top : padding.top,
            padLeft: turns ? most - padding.left : padding.left,
            stride: problem.window.stride.height, transposes: turns, adds: problem.adds,
            rectifies: problem.rectifies,
            cuts: split == .channels || source[0] >= 4 * team.threads
                || source[0] % team.threads == 0)
        implementation = split == .tiles ? "apus_wino:tiles" : "apus_wino:channels"
        pass = problem.pass
        self.split = split
        self.operands = operands
        self.team = team
        self.fold = fold
        let share = (apus_winograd_units(&geometry) + team.threads - 1) / team.threads
        stride = min(apus_winograd_stride(&geometry), share)
        keepsWeights = problem.inference && problem.pass == .forward
    }

    /// Floats that all threads share: transformed weights, their gradients' sums or inputs.
    private var sharedCount: Int {
        let weights = apus_winograd_weight_count(&geometry)
        switch split {
        case .channels: return apus_winograd_input_count(&geometry)
        case .tiles where pass == .weightGradient: return weights * team.threads
        case .tiles: return keepsWeights ? 0 : weights
        }
    }

    private var own: MemberScratch {
        switch split {
        case .channels: MemberScratch(apus_winograd_pair_scratch(&geometry), team)
        case .tiles: MemberScratch(apus_winograd_scratch(&geometry, stride), team)
        }
    }

    var convertedCount: Int { keepsWeights ? apus_winograd_weight_count(&geometry) : 0 }

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
        if pass == .weightGradient {
            weightGradient(scratch)
            return
        }
        let isStale = operands.computesWeights || cachedVersion != context.parameterVersion
        if isStale { fold?() }
        let (x, y) =
            pass == .forward
            ? (operands.input, operands.output) : (operands.output, operands.input)
        let bias = geometry.transposes ? nil : operands.bias
        let weights = keptWeights ?? scratch
        let needsWeights = keepsWeights ? isStale : split == .tiles
        cachedVersion = context.parameterVersion
        if needsWeights {
            team.split(apus_winograd_pairs(&geometry)) { begin, end in
                apus_winograd_weights(&geometry, operands.weights, weights, begin, end)
            }
        }
        switch split {
        case .tiles:
            forEachThread(apus_winograd_units(&geometry), scratch) { _, own, begin, end in
                apus_winograd_by_tiles(&geometry, x, weights, bias, y, own, stride, begin, end)
            }
        case .channels:
            transformInput(x, scratch)
            forEachThread(apus_winograd_pairs(&geometry), scratch) { _, own, begin, end in
                apus_winograd_by_pairs(
                    &geometry, scratch, operands.weights, keptWeights, bias, y, own, begin,
                    end)
            }
        }
    }

    private func weightGradient(_ scratch: UnsafeMutablePointer<Float>) {
        let (x, dy, weights) = (operands.input, operands.output, operands.weights)
        switch split {
        case .tiles:
            let part = apus_winograd_weight_count(&geometry)
            let units = apus_winograd_units(&geometry)
            forEachThread(units, scratch) { member, own, begin, end in
                apus_winograd_weight_gradient_by_tiles(
                    &geometry, x, dy, scratch + member * part, own, stride, begin, end)
            }
            // With fewer units than threads only the first of them have sums.
            team.split(apus_winograd_pairs(&geometry)) { begin, end in
                apus_winograd_weight_gradient_finish(
                    &geometry, scratch, min(team.threads, units), weights, begin, end)
            }
        case .channels:
            transformInput(x, scratch)
            forEachThread(apus_winograd_pairs(&geometry), scratch) { _, own, begin, end in
                apus_winograd_weight_gradient_by_pairs(
                    &geometry, scratch, dy, weights, own, begin, end)
            }
        }
    }

    private func transformInput(
        _ x: UnsafeMutableRawPointer, _ v: UnsafeMutablePointer<Float>
    ) {
        team.split((geometry.inputChannels + 15) / 16) { begin, end in
            apus_winograd_input(&geometry, x, v, begin, end)
        }
    }

    /// A range of 0..<count and scratch of its own for every member.
    private func forEachThread(
        _ count: Int, _ scratch: UnsafeMutablePointer<Float>,
        _ body: (_ member: Int, _ own: UnsafeMutablePointer<Float>, _ begin: Int, _ end: Int) ->
            Void
    ) {
        let (own, start) = (own, scratch + sharedCount)
        team.share(count) { member, begin, end in
            body(member, own.of(member, in: start), begin, end)
        }
    }
}
