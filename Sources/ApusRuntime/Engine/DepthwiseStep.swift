import ApusGraph
import ApusTensor
import CKernels

/// One pass of a convolution that has a kernel of its own for every channel, by our own kernels.
///
/// The results do not depend on the number of threads.
final class DepthwiseStep: Step {
    let implementation: String? = ConvolutionAlgorithm.depthwise.rawValue
    private let problem: ConvolutionProblem
    private let operands: ConvolutionStep.Operands
    private let team: Team
    private let fold: (() -> Void)?
    private let geometry: apus_window
    private let block: Int
    private let channels: Int
    private let channelBlocks: Int
    private let taps: Int
    /// Parts of the batch whose weight gradients are summed on their own: enough for many threads.
    private let chunks: Int
    /// Weights and bias by channel blocks, or the chunks' sums.
    private let packedCount: Int
    private let own: MemberScratch
    private var packed: UnsafeMutablePointer<Float>?
    private var members: UnsafeMutablePointer<Float>?
    /// Inference keeps the packed weights and renews them when the parameters change.
    private let keepsWeights: Bool
    private var keptVersion = -1

    static func fits(_ problem: ConvolutionProblem) -> Bool {
        guard case .blocked = problem.inputLayout, problem.outputLayout == problem.inputLayout
        else {
            return false
        }
        return [nil, .relu, .relu6, .silu].contains(problem.activation)
            && problem.groups == problem.input[1] && problem.groups == problem.output[1]
            && problem.window.kernel.height <= apus_depthwise_limit
    }

    init(
        _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands, _ team: Team,
        fold: (() -> Void)?
    ) {
        guard case .blocked(let block) = problem.inputLayout else {
            preconditionFailure("a depthwise convolution of a plain image")
        }
        let (input, output, window) = (problem.input, problem.output, problem.window)
        self.problem = problem
        self.operands = operands
        self.team = team
        self.fold = fold
        self.block = block
        geometry = apus_window(
            inputHeight: input[2], inputWidth: input[3],
            outputHeight: output[2], outputWidth: output[3],
            kernelHeight: window.kernel.height, kernelWidth: window.kernel.width,
            strideHeight: window.stride.height, strideWidth: window.stride.width,
            dilationHeight: window.dilation.height, dilationWidth: window.dilation.width,
            padTop: window.padding.top, padLeft: window.padding.left)
        channels = input[1]
        channelBlocks = (channels + block - 1) / block
        taps = window.kernel.height * window.kernel.width
        chunks = min(input[0], (128 + channelBlocks - 1) / channelBlocks)
        let sums = problem.pass == .weightGradient ? chunks : 1
        packedCount = sums * channelBlocks * (taps + 1) * block
        let line = Arena.alignment / MemoryLayout<Float>.stride
        own = MemberScratch(
            withUnsafePointer(to: geometry) { apus_depthwise_scratch(block, $0) }
                .roundedUp(to: line), team)
        keepsWeights = problem.inference && problem.pass == .forward
    }

    var convertedCount: Int { keepsWeights ? packedCount : 0 }

    var scratchBytes: Int {
        ((keepsWeights ? 0 : packedCount) + own.total)
            * MemoryLayout<Float>.stride
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) {
        let base = scratch.assumingMemoryBound(to: Float.self)
        members = base
        packed = keepsWeights ? converted : base + own.total
        keptVersion = -1
    }

    func run(_ context: RunContext) {
        guard let packed else { preconditionFailure("a step ran before it was bound") }
        let bias = packed + channelBlocks * taps * block
        if problem.pass != .weightGradient {
            let isStale = operands.computesWeights || keptVersion != context.parameterVersion
            if isStale || !keepsWeights { pack(packed, bias) }
            keptVersion = context.parameterVersion
        }
        let o = operands
        let planes = problem.input[0] * channelBlocks
        switch problem.pass {
        case .forward:
            let activation = problem.activation?.kernel.0 ?? apus_identity
            split(planes) { geometry, scratch, begin, end in
                apus_depthwise(
                    block, problem.type.kernel, o.input, packed, problem.bias ? bias : nil,
                    o.output, problem.adds, activation, geometry, scratch, channelBlocks, begin,
                    end)
            }
        case .inputGradient:
            split(planes) { geometry, scratch, begin, end in
                apus_depthwise_input_gradient(
                    block, problem.type.kernel, o.output, packed, o.input, geometry, scratch,
                    channelBlocks, begin, end)
            }
        case .weightGradient:
            split(chunks * channelBlocks) { geometry, scratch, begin, end in
                apus_depthwise_weight_gradient(
                    block, problem.type.kernel, o.input, o.output, packed, problem.bias, geometry,
                    scratch, problem.input[0], chunks, channelBlocks, begin, end)
            }
            team.split(channelBlocks, grain: 64) { begin, end in
                apus_depthwise_collect(
                    block, packed, o.weights, o.bias, channels, taps, chunks, channelBlocks, begin,
                    end)
            }
        }
    }

    private func pack(
        _ packed: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>
    ) {
        fold?()
        let o = operands
        team.split(channelBlocks, grain: 64) { begin, end in
            apus_depthwise_pack(block, o.weights, packed, channels, taps, begin, end)
            if let from = o.bias { apus_depthwise_pack(block, from, bias, channels, 1, begin, end) }
        }
    }

    /// Splits 0..<count among the threads, each with its scratch memory.
    private func split(
        _ count: Int,
        _ body: (UnsafePointer<apus_window>, UnsafeMutablePointer<Float>, Int, Int) -> Void
    ) {
        guard let members else { return }
        withUnsafePointer(to: geometry) { geometry in
            team.run { member in
                let begin = count * member / team.threads
                let end = count * (member + 1) / team.threads
                if begin < end { body(geometry, own.of(member, in: members), begin, end) }
            }
        }
    }
}
