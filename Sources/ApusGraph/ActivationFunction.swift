/// The pointwise nonlinearities.
public enum ActivationFunction: Hashable, Codable, Sendable {
    /// max(0, x)
    case relu
    /// min(max(0, x), 6)
    case relu6
    /// x for x > 0, slope * x otherwise
    case leakyReLU(slope: Float)
    /// 1 / (1 + exp(-x))
    case sigmoid
    case tanh
    /// x * sigmoid(x), also called swish
    case silu
    /// x * Phi(x) with the exact normal distribution function, as PyTorch's default
    case gelu

    /// Whether the derivative is computed from the output; from the input otherwise.
    public var differentiatesFromOutput: Bool {
        switch self {
        case .relu, .relu6, .sigmoid, .tanh: true
        case .leakyReLU(let slope): slope > 0
        case .silu, .gelu: false
        }
    }

    public static let all: [ActivationFunction] = [
        .relu, .relu6, .leakyReLU(slope: 0.01), .sigmoid, .tanh, .silu, .gelu,
    ]
}

extension ActivationFunction: CustomStringConvertible {
    public var description: String {
        switch self {
        case .relu: "relu"
        case .relu6: "relu6"
        case .leakyReLU(let slope): "leaky relu \(slope)"
        case .sigmoid: "sigmoid"
        case .tanh: "tanh"
        case .silu: "silu"
        case .gelu: "gelu"
        }
    }
}
