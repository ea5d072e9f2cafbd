import ApusGraph
import CDNNL

/// How a convolution is computed: by the library, or by our own kernels.
enum ConvolutionAlgorithm: String, CaseIterable {
    case direct, winograd
    case depthwise = "apus-depthwise"
    case winogradTiles = "apus-winograd-tiles"
    case winogradChannels = "apus-winograd-channels"
    case stem = "apus-stem"
    case oneByOne = "apus-1x1"
    case strassen = "apus-strassen"
    case ownDirect = "apus-direct"
    case amx = "apus-amx"
    case pairs = "apus-pairs"
    case vector = "apus-vector"

    /// The library's name; nil for what is our own.
    var kind: dnnl_alg_kind_t? {
        switch self {
        case .direct: dnnl_convolution_direct
        case .winograd: dnnl_convolution_winograd
        case .depthwise, .winogradTiles, .winogradChannels, .stem, .oneByOne, .strassen, .ownDirect,
            .amx, .pairs, .vector:
            nil
        }
    }

    /// Whether every product of the definition is multiplied: the peak of the machine then says how long it takes at least.
    var sumsDirectly: Bool {
        switch self {
        case .direct, .depthwise, .oneByOne, .ownDirect, .amx, .pairs, .vector: true
        case .winograd, .winogradTiles, .winogradChannels, .stem, .strassen: false
        }
    }

    /// Algorithms worth trying: the most exact first, of equals the one that is mostly faster. What is given for
    /// the problem is among them wherever it works.
    static func candidates(
        _ problem: ConvolutionProblem, threads: Int, given: String? = nil
    ) -> [ConvolutionAlgorithm] {
        let others = withoutTiles(problem, threads: threads)
        let usesTiles = Machine.hasAMX || given == ConvolutionAlgorithm.amx.rawValue
        guard usesTiles && AMXStep.supports(problem) else { return others }
        // Tiles multiply so much faster that only the library is worth timing beside them.
        return [.amx, .direct] + others.filter { $0 != .direct && $0.rawValue == given }
    }

    private static func withoutTiles(
        _ problem: ConvolutionProblem, threads: Int
    ) -> [ConvolutionAlgorithm] {
        if VectorStep.supports(problem) { return [.vector] }
        if DepthwiseStep.fits(problem) { return [.depthwise, .direct] }
        let pairs: [ConvolutionAlgorithm] = PairsStep.supports(problem) ? [.pairs] : []
        if OneByOneStep.fits(problem) {
            // The library adds an input gradient to nothing, and normalizes nothing.
            return (problem.adds || problem.normalizes ? [] : [.direct]) + pairs
                + (OneByOneStep.supports(problem) ? [.oneByOne] : [])
                + (StrassenStep.supports(problem) ? [.strassen] : [])
        }
        if StemStep.supports(problem) { return [.direct, .stem] }
        let window = problem.window
        let direct: [ConvolutionAlgorithm] =
            DirectStep.supports(problem) ? [.direct, .ownDirect] : [.direct]
        let fits =
            window.kernel == Size(3) && window.dilation == Size(1) && problem.groups == 1
        guard fits else { return direct + pairs }
        // The library has Winograd's algorithm for 32-bit floats and a stride of one only, where ours is always faster
        // than direct sums of pairs.
        let isDense = window.stride == Size(1)
        let winograd: [ConvolutionAlgorithm] = problem.type == .float32 ? [.winograd] : []
        let others = direct + (isDense ? winograd : pairs)
        guard WinogradStep.supports(problem) else { return others }
        // Sharing out channels is for weights that leave the cache, and keeps all transformed tiles
        // at once; sharing out tiles keeps a weight gradient of every thread.
        let (inputs, outputs) = (problem.input[1], problem.output[1])
        let tiles = problem.output[0] * problem.output[2] * problem.output[3] / 16
        var own: [ConvolutionAlgorithm] = []
        if problem.pass != .weightGradient || inputs * outputs * threads <= 1 << 21 {
            own.append(.winogradTiles)
        }
        // With a stride of two a tile has more than twice the positions.
        let most = isDense ? 1 << 18 : 1 << 17
        if inputs * outputs >= 1 << 14, tiles * max(inputs, outputs) <= most {
            own.append(.winogradChannels)
        }
        return others + own
    }
}
