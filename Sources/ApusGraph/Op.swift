import ApusTensor

/// The closed set of operations. Images are `[N, C, H, W]`, features `[N, C]`, labels `[N]`.
///
/// Operands are written `inputs -> outputs`. Every gradient is an operation of its own, so that a
/// training step is one flat graph and a new operation does not compile until each pass and both
/// executors handle it.
public enum Op: Hashable, Codable, Sendable {
    // Sources: no inputs.
    case input
    case parameter
    case buffer
    case constant(Float)

    // Convolution: weights are [out, in / groups, kh, kw].
    /// x, w, [bias] -> y
    case convolution(Window, groups: Int)
    /// dy, w, [base], [signs] -> dx, added to the base where there is one: to those of its elements whose
    /// sign is set
    case convolutionInputGradient(Window, groups: Int, input: Shape)
    /// x, dy -> dw, [dbias]
    case convolutionWeightGradient(Window, groups: Int, bias: Bool)

    // Batch normalization (Ioffe and Szegedy 2015), per channel.
    /// Normalizes with the batch's own statistics: x, gamma, beta, [residual] -> y, mean, variance,
    /// [signs], [pooled]. The variance is the biased one. Behind a residual that is normalized stand its gamma, beta,
    /// mean and variance.
    case batchNorm(Normalization)
    /// Normalizes with given statistics: x, gamma, beta, mean, variance, [residual]
    /// -> y, [signs], [pooled]
    case normalize(Normalization)
    /// The statistics alone: x -> mean, variance
    case channelMoments
    /// [C1], [C2] -> [C1 + C2]
    case joinVectors
    /// x, dy, gamma, mean, variance, [saved], [dy2], [base] -> dx, dgamma, dbeta, [dresidual].
    /// Of several equal maxima the first in row-major order receives dy.
    /// With an activation `saved` is what its derivative is found from: the signs if a residual was added,
    /// else beta. `frozen` is the gradient of `normalize`: the statistics do not depend on x.
    case batchNormGradient(Normalization, frozen: Bool)
    /// Of a normalization whose result y = f(z) was scaled by a factor a channel: what can be summed over
    /// pixels before the gradient of its mean is known, with v = x - mean of the channel.
    /// x, dz, gamma, beta, mean, variance -> the sums of dz y, dz f', f', dz f' v and f' v, each
    /// [N, C, 1, 1]
    case excitationSums(Normalization)
    /// `batchNormGradient` for dy = dz * s + dpooled / (H W), without the image dy:
    /// x, dz, gamma, mean, variance, beta, s, dpooled, the last four of `excitationSums`
    /// -> dx, dgamma, dbeta
    case excitedNormGradient(Normalization, frozen: Bool)
    /// `normalize` of a convolution without bias, for use after training, where both are one:
    /// x, w, gamma, beta, mean, variance, [residual] -> y
    case normalizedConvolution(Window, groups: Int, Normalization)
    /// A convolution of one group of the image that `normalize` yields: x, w, gamma, beta, mean, variance -> y
    case convolutionOfNormalized(Window, Normalization)
    /// Its weight gradient: x, dy, gamma, beta, mean, variance -> dw
    case weightGradientOfNormalized(Window, Normalization)
    /// old, statistic -> (1 - momentum) * old + momentum * correction * statistic
    case movingAverage(momentum: Float, correction: Float)

    // Pointwise.
    /// x -> y
    case activation(ActivationFunction)
    /// dy, (y if the function differentiates from its output, else x) -> dx
    case activationGradient(ActivationFunction)
    /// a, b -> a + b
    case add
    /// Zeroes elements with probability `rate` and scales the rest by 1 / (1 - rate): x -> y.
    /// The mask is a pure function of the run's seed, the step and `key`; the operation is its own
    /// gradient.
    case dropout(rate: Float, key: UInt64)
    /// Zeroes whole samples likewise (Huang et al. 2016): x -> y
    case stochasticDepth(rate: Float, key: UInt64)

    // Pooling.
    /// x -> y; padding never wins
    case maxPool(Window)
    /// x, dy -> dx; the first of equal maxima in row-major order receives the gradient
    case maxPoolGradient(Window)
    /// x -> y; divides by the kernel's size, or by the number of real pixels under it
    case averagePool(Window, includesPadding: Bool)
    /// dy -> dx
    case averagePoolGradient(Window, includesPadding: Bool, input: Shape)
    /// [N, C, H, W] -> [N, C, 1, 1]
    case globalAveragePool
    /// dy -> dx
    case globalAveragePoolGradient(input: Shape)

    // Matrices.
    /// a, b -> op(a) op(b), each of rank 2
    case matmul(transposeA: Bool, transposeB: Bool)
    /// x [N, C], bias [C] -> y
    case addBias
    /// [N, C] -> [C]
    case sumRows
    /// Softmax over the channels of every row: [N, C] -> [N, C]
    case softmax
    /// dy, y -> dx
    case softmaxGradient

    // Channels.
    /// x [N, C, H, W], s [N, C, 1, 1] -> x * s
    case scaleChannels
    /// w [out, in, 1, 1], s [1, in, 1, 1] -> w * s: a convolution with these is one with w of an image
    /// whose channels were scaled by s
    case scaleWeights
    /// a, b [N, C, H, W] -> [N, C, 1, 1], the sum over pixels of a * b
    case channelDot
    /// [N, Ci, H, W]... -> [N, sum of Ci, H, W]
    case concatenate
    /// [N, C, H, W] -> [N, count, H, W]
    case slice(start: Int, count: Int)
    /// The parameterless shortcut of He et al. 2015 (option A): every `stride`-th row and column,
    /// zero channels before and after: x -> y
    case subsamplePad(stride: Int, before: Int, after: Int)
    /// dy -> dx
    case subsamplePadGradient(stride: Int, before: Int, input: Shape)
    /// [N, C, H, W] -> [N, C * H * W], row-major
    case flatten
    /// [N, C * H * W] -> [N, C, H, W]
    case unflatten(Shape)

    // Loss.
    /// logits [N, K], labels [N] -> loss [1], probabilities [N, K]: the mean over rows of the cross
    /// entropy with targets (1 - smoothing) * one-hot + smoothing / K
    case crossEntropy(smoothing: Float)
    /// probabilities, labels, dloss -> dlogits
    case crossEntropyGradient(smoothing: Float)

    // Storage.
    /// x -> the same value in another layout
    case reorder(Layout)
    /// x -> the same value in another type
    case convert(DataType)
}

extension Op {
    /// Which output of a normalization the signs are, if it saves them.
    public var signsOutput: Int? {
        switch self {
        case .batchNorm(let n): n.savesSigns ? 3 : nil
        case .normalize(let n): n.savesSigns ? 1 : nil
        default: nil
        }
    }

    /// Whether the values come from outside the graph: inputs, parameters, buffers and constants.
    public var isSource: Bool {
        switch self {
        case .input, .parameter, .buffer, .constant: true
        default: false
        }
    }
}

/// What a batch normalization does besides normalizing.
public struct Normalization: Hashable, Codable, Sendable {
    /// Added to the variance.
    public var epsilon: Float
    /// A residual is added to the normalized value.
    public var addsResidual = false
    /// The residual is normalized, too, with given statistics.
    public var normalizesResidual = false
    /// Applied last.
    public var activation: ActivationFunction?
    /// Of the result only the maxima under this window are yielded. Only behind a rectifier, without a residual.
    public var maxPool: Window?
    /// Also yields where the result is positive, as ones and zeros: all that the gradient of a rectifier
    /// behind a sum needs to know.
    public var savesSigns = false
    /// Also yields the result's mean over pixels, [N, C, 1, 1], the last output.
    public var pools = false
    /// Of the gradient: what arrives is the sum of two, dy and dy2.
    public var sumsGradients = false
    /// Of the gradient: there is no dresidual. Who reads it takes dy and the signs instead.
    public var leavesResidual = false
    /// Of the gradient: dx is added to another gradient of x, the base.
    public var accumulates = false

    public init(
        epsilon: Float, addsResidual: Bool = false, activation: ActivationFunction? = nil
    ) {
        self.epsilon = epsilon
        self.addsResidual = addsResidual
        self.activation = activation
    }
}

extension Normalization {
    /// How many operands the residual is.
    var residualOperands: Int { (addsResidual ? 1 : 0) + (normalizesResidual ? 4 : 0) }
    /// Where the gradient's operand `dy2` stands.
    public var secondGradientOperand: Int { activation == nil ? 5 : 6 }
    /// Whether its operand `saved` is the signs.
    public var readsSigns: Bool { addsResidual && activation != nil }
    /// Where its operand `base` stands.
    public var baseOperand: Int { secondGradientOperand + (sumsGradients ? 1 : 0) }
}

extension Op: CustomStringConvertible {
    public var description: String {
        func grouped(_ groups: Int) -> String { groups == 1 ? "" : " groups \(groups)" }
        func fused(_ n: Normalization) -> String {
            let residual = n.normalizesResidual ? " + normalized residual" : " + residual"
            return (n.addsResidual ? residual : "") + (n.activation.map { " + \($0)" } ?? "")
                + (n.maxPool.map { " + max pool \($0)" } ?? "") + (n.pools ? " + pool" : "")
                + (n.sumsGradients ? " of a sum" : "") + (n.accumulates ? ", accumulating" : "")
                + (n.leavesResidual ? ", leaving dresidual" : "")
        }
        switch self {
        case .input: return "input"
        case .parameter: return "parameter"
        case .buffer: return "buffer"
        case .constant(let value): return "constant \(value)"
        case .convolution(let w, let g): return "convolution \(w)\(grouped(g))"
        case .convolutionInputGradient(let w, let g, _):
            return "convolution input gradient \(w)\(grouped(g))"
        case .convolutionWeightGradient(let w, let g, _):
            return "convolution weight gradient \(w)\(grouped(g))"
        case .normalizedConvolution(let w, let g, let n):
            return "convolution \(w)\(grouped(g)) + normalize\(fused(n))"
        case .convolutionOfNormalized(let w, let n):
            return "convolution \(w) of normalized\(fused(n))"
        case .weightGradientOfNormalized(let w, let n):
            return "convolution weight gradient \(w) of normalized\(fused(n))"
        case .batchNorm(let n): return "batch norm\(fused(n))"
        case .normalize(let n): return "normalize\(fused(n))"
        case .batchNormGradient(let n, let frozen):
            return (frozen ? "normalize gradient" : "batch norm gradient") + fused(n)
        case .excitationSums(let n): return "excitation sums\(fused(n))"
        case .excitedNormGradient(let n, let frozen):
            return "excited " + (frozen ? "normalize gradient" : "batch norm gradient") + fused(n)
        case .channelMoments: return "channel moments"
        case .joinVectors: return "join vectors"
        case .movingAverage(let momentum, _): return "moving average \(momentum)"
        case .activation(let f): return "\(f)"
        case .activationGradient(let f): return "\(f) gradient"
        case .add: return "add"
        case .dropout(let rate, _): return "dropout \(rate)"
        case .stochasticDepth(let rate, _): return "stochastic depth \(rate)"
        case .maxPool(let w): return "max pool \(w)"
        case .maxPoolGradient(let w): return "max pool gradient \(w)"
        case .averagePool(let w, _): return "average pool \(w)"
        case .averagePoolGradient(let w, _, _): return "average pool gradient \(w)"
        case .globalAveragePool: return "global average pool"
        case .globalAveragePoolGradient: return "global average pool gradient"
        case .matmul(let a, let b): return "matmul \(a ? "T" : "N")\(b ? "T" : "N")"
        case .addBias: return "add bias"
        case .sumRows: return "sum rows"
        case .softmax: return "softmax"
        case .softmaxGradient: return "softmax gradient"
        case .scaleChannels: return "scale channels"
        case .scaleWeights: return "scale weights"
        case .channelDot: return "channel dot"
        case .concatenate: return "concatenate"
        case .slice(let start, let count): return "slice \(start)..<\(start + count)"
        case .subsamplePad(let stride, let before, let after):
            return "subsample /\(stride) pad \(before),\(after)"
        case .subsamplePadGradient(let stride, _, _): return "subsample /\(stride) gradient"
        case .flatten: return "flatten"
        case .unflatten: return "unflatten"
        case .crossEntropy(let smoothing):
            return "cross entropy" + (smoothing == 0 ? "" : " smoothing \(smoothing)")
        case .crossEntropyGradient: return "cross entropy gradient"
        case .reorder(let layout): return "reorder to \(layout)"
        case .convert(let type): return "convert to \(type)"
        }
    }
}
