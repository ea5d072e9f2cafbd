import ApusGraph
import ApusTensor

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ReferenceExecutor {
    static func activation(_ function: ActivationFunction, _ x: Double) -> Double {
        switch function {
        case .relu: max(0, x)
        case .relu6: min(max(0, x), 6)
        case .leakyReLU(let slope): x > 0 ? x : Double(slope) * x
        case .sigmoid: sigmoid(x)
        case .tanh: tanh(x)
        case .silu: x * sigmoid(x)
        case .gelu: x * normalDistribution(x)
        }
    }

    /// The derivative; `saved` is the output y if the function differentiates from its output, the
    /// input x otherwise. It is 0 at the kinks of relu and relu6, as in PyTorch.
    static func derivative(_ function: ActivationFunction, saved: Double) -> Double {
        let (x, y) = (saved, saved)
        switch function {
        case .relu:
            return y > 0 ? 1 : 0
        case .relu6:
            return y > 0 && y < 6 ? 1 : 0
        case .leakyReLU(let slope):
            // With a positive slope x and y have the same sign.
            return saved > 0 ? 1 : Double(slope)
        case .sigmoid:
            return y * (1 - y)
        case .tanh:
            return 1 - y * y
        case .silu:
            let s = sigmoid(x)
            return s + x * s * (1 - s)
        case .gelu:
            let density = exp(-x * x / 2) / (2 * Double.pi).squareRoot()
            return normalDistribution(x) + x * density
        }
    }

    private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

    /// The probability that a standard normal variable is at most x.
    private static func normalDistribution(_ x: Double) -> Double {
        // 1 + erf(x / sqrt 2) would cancel for negative x.
        erfc(-x / 2.0.squareRoot()) / 2
    }

    /// Element i is kept iff the key's number i is at least `rate`.
    static func dropout(
        _ x: ReferenceTensor, _ rate: Float, _ key: UInt64, _ randomKey: RandomKey
    ) -> ReferenceTensor {
        var y = x
        for i in y.elements.indices { y[i] *= factor(i, rate, key, randomKey) }
        return y
    }

    /// Sample i is kept iff the key's number i is at least `rate`.
    static func stochasticDepth(
        _ x: ReferenceTensor, _ rate: Float, _ key: UInt64, _ randomKey: RandomKey
    ) -> ReferenceTensor {
        let sample = x.shape.count / x.shape[0]
        var y = x
        for i in y.elements.indices { y[i] *= factor(i / sample, rate, key, randomKey) }
        return y
    }

    /// 1 / (1 - rate) for what is kept, so that the expectation stays, and 0 for the rest.
    private static func factor(
        _ index: Int, _ rate: Float, _ key: UInt64, _ randomKey: RandomKey
    ) -> Double {
        let mask = randomKey.child(Int(bitPattern: UInt(key)))
        return mask.uniform(at: index) >= rate ? 1 / (1 - Double(rate)) : 0
    }
}
