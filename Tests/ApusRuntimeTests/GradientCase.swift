import ApusGraph
import ApusTensor
import Testing

/// A small graph whose gradients are checked: a name to read in the report, and how to build it up
/// to the value that is then reduced to a loss.
struct GradientCase: Sendable, CustomTestStringConvertible {
    let name: String
    let build: @Sendable (inout TestNetwork) throws -> ValueID
    /// Whether `build` returns the loss itself.
    var isLoss = false

    init(
        _ name: String, isLoss: Bool = false,
        _ build: @escaping @Sendable (inout TestNetwork) throws -> ValueID
    ) {
        self.name = name
        self.isLoss = isLoss
        self.build = build
    }

    var testDescription: String { name }
}

// MARK: - Convolution

extension GradientCase {
    static let convolutions: [GradientCase] = [
        convolution("3x3 pad 1", [2, 3, 5, 4], 2, Window(kernel: Size(3), padding: Edges(1))),
        convolution("1x1", [2, 3, 3, 3], 4, Window(kernel: Size(1))),
        convolution("batch 1, one pixel out", [1, 2, 3, 3], 2, Window(kernel: Size(3))),
        convolution(
            "stride beyond kernel", [2, 2, 7, 6], 2, Window(kernel: Size(2), stride: Size(3))),
        convolution(
            "1x1 stride 2, odd size", [1, 3, 5, 7], 2, Window(kernel: Size(1), stride: Size(2))),
        convolution(
            "padded on one side", [1, 2, 4, 5], 3,
            Window(
                kernel: Size(3), stride: Size(2),
                padding: Edges(top: 0, left: 1, bottom: 2, right: 0))),
        convolution(
            "rectangular kernel and strides", [2, 2, 6, 5], 2,
            Window(
                kernel: Size(2, 3), stride: Size(2, 1),
                padding: Edges(top: 1, left: 0, bottom: 0, right: 2))),
        convolution(
            "dilated", [1, 2, 7, 6], 2,
            Window(kernel: Size(3, 2), dilation: Size(2, 3), padding: Edges(1))),
        convolution(
            "dilated and strided", [1, 2, 8, 7], 2,
            Window(kernel: Size(2), stride: Size(2), dilation: Size(3), padding: Edges(2))),
        convolution(
            "groups 2", [2, 4, 4, 3], 6, groups: 2, Window(kernel: Size(3), padding: Edges(1))),
        convolution(
            "depthwise", [2, 3, 5, 5], 3, groups: 3,
            Window(kernel: Size(3), stride: Size(2), padding: Edges(1))),
        convolution(
            "depthwise, two outputs a channel", [1, 3, 4, 4], 6, groups: 3,
            Window(kernel: Size(3), padding: Edges(1))),
        convolution(
            "bias", [2, 3, 4, 5], 2, bias: true, Window(kernel: Size(3), padding: Edges(1))),
        convolution(
            "bias and groups", [1, 4, 3, 3], 4, groups: 2, bias: true, Window(kernel: Size(2))),
        GradientCase("convolution of an input image") { net in
            let x = net.input("x", [2, 3, 4, 4])
            let w = try net.parameter("w", [2, 3, 3, 3])
            return try net.append(.convolution(Window(kernel: Size(3)), groups: 1), x, w)
        },
        GradientCase("convolution with fixed weights") { net in
            let x = try net.parameter("x", [2, 3, 4, 4])
            let w = net.input("w", [2, 3, 3, 3])
            return try net.append(.convolution(Window(kernel: Size(3)), groups: 1), x, w)
        },
    ]

    private static func convolution(
        _ name: String, _ image: Shape, _ channels: Int, groups: Int = 1, bias: Bool = false,
        _ window: Window
    ) -> GradientCase {
        GradientCase("convolution, \(name)") { net in
            let kernel = window.kernel
            let shape: Shape = [channels, image[1] / groups, kernel.height, kernel.width]
            var inputs = [try net.parameter("x", image), try net.parameter("w", shape)]
            if bias { inputs.append(try net.parameter("bias", [channels])) }
            return try net.builder.append(
                .convolution(window, groups: groups), inputs, path: "convolution")[0]
        }
    }
}

// MARK: - Normalization

extension GradientCase {
    static let normalizations: [GradientCase] =
        [false, true].flatMap { frozen in
            [
                (false, nil), (true, nil), (false, .relu), (true, .relu), (false, .relu6),
                (false, .silu),
            ].map { (residual: Bool, activation: ActivationFunction?) in
                let name =
                    (frozen ? "normalize" : "batch norm") + (residual ? " + residual" : "")
                    + (activation.map { " + \($0)" } ?? "")
                let n = Normalization(
                    epsilon: 1e-3, addsResidual: residual, activation: activation)
                return normalization(name, n, frozen: frozen, [3, 2, 3, 5], .uniform(-1...3))
            }
        }
        + [false, true].map { frozen in
            var n = Normalization(epsilon: 1e-3, activation: .relu)
            n.maxPool = Window(kernel: Size(3), stride: Size(2), padding: Edges(1))
            return normalization(
                (frozen ? "normalize" : "batch norm") + " + relu + max pool", n, frozen: frozen,
                [3, 2, 4, 7], .spaced(-1...3))
        } + [
            GradientCase("batch norm, batch 1") { net in
                let x = try net.parameter("x", [1, 3, 2, 3])
                let gamma = try net.parameter("gamma", [3])
                let beta = try net.parameter("beta", [3])
                return try net.append(.batchNorm(Normalization(epsilon: 1e-5)), x, gamma, beta)
            },
            GradientCase("batch norm, one pixel") { net in
                let x = try net.parameter("x", [5, 3, 1, 1])
                let gamma = try net.parameter("gamma", [3])
                let beta = try net.parameter("beta", [3])
                return try net.append(.batchNorm(Normalization(epsilon: 1e-5)), x, gamma, beta)
            },
            GradientCase("batch norm whose residual is its own input") { net in
                let x = try net.parameter("x", [2, 2, 3, 3])
                let gamma = try net.parameter("gamma", [2])
                let beta = try net.parameter("beta", [2])
                let n = Normalization(epsilon: 1e-5, addsResidual: true)
                return try net.append(.batchNorm(n), x, gamma, beta, x)
            },
        ]
}

extension GradientCase {
    /// A normalization of two channels, with the batch's statistics or with given ones.
    private static func normalization(
        _ name: String, _ n: Normalization, frozen: Bool, _ shape: Shape,
        _ pixels: TestNetwork.Numbers
    ) -> GradientCase {
        GradientCase(name) { net in
            var inputs = [
                try net.parameter("x", shape, pixels),
                try net.parameter("gamma", [2], .given([0.7, -1.3])),
                try net.parameter("beta", [2], .given([0.4, -0.2])),
            ]
            if frozen {
                inputs.append(try net.buffer("mean", [2], .given([0.8, 1.1])))
                inputs.append(try net.buffer("variance", [2], .given([1.5, 0.6])))
            }
            if n.addsResidual { inputs.append(try net.parameter("residual", shape)) }
            let op: Op = frozen ? .normalize(n) : .batchNorm(n)
            return try net.builder.append(op, inputs, path: name)[0]
        }
    }
}

// MARK: - Pointwise

extension GradientCase {
    static let pointwise: [GradientCase] =
        (ActivationFunction.all + [.leakyReLU(slope: 0), .leakyReLU(slope: -0.5)]).map { function in
            GradientCase("\(function)") { net in
                // The grid of 48 numbers stays 1/8 away from the kinks at 0 and 6.
                let x = try net.parameter("x", [2, 2, 4, 3], .spaced(-3...9))
                return try net.append(.activation(function), x)
            }
        } + [
            GradientCase("activation of features") { net in
                let x = try net.parameter("x", [3, 5])
                return try net.append(.activation(.silu), x)
            },
            GradientCase("add") { net in
                let a = try net.parameter("a", [2, 3, 2, 2])
                let b = try net.parameter("b", [2, 3, 2, 2])
                return try net.append(.add, a, b)
            },
            GradientCase("add to itself") { net in
                let x = try net.parameter("x", [2, 3, 2, 2])
                return try net.append(.add, x, x)
            },
            GradientCase("a value read three times") { net in
                let x = try net.parameter("x", [2, 3])
                let a = try net.append(.activation(.tanh), x)
                let b = try net.append(.activation(.sigmoid), x)
                return try net.append(.add, try net.append(.add, a, b), x)
            },
            GradientCase("dropout") { net in
                let x = try net.parameter("x", [3, 7])
                return try net.append(.dropout(rate: 0.4, key: .max), x)
            },
            GradientCase("dropout of images") { net in
                let x = try net.parameter("x", [2, 3, 2, 3])
                return try net.append(.dropout(rate: 0.5, key: 17), x)
            },
            GradientCase("stochastic depth") { net in
                let x = try net.parameter("x", [6, 2, 2, 1])
                return try net.append(.stochasticDepth(rate: 0.5, key: 3), x)
            },
        ]
}

// MARK: - Pooling

extension GradientCase {
    private static let windows: [(String, Shape, Window)] = [
        ("2x2 stride 2", [2, 2, 4, 4], Window(kernel: Size(2), stride: Size(2))),
        (
            "overlapping, padded", [2, 2, 5, 7],
            Window(kernel: Size(3), stride: Size(2), padding: Edges(1))
        ),
        (
            "padded on one side", [1, 2, 4, 6],
            Window(
                kernel: Size(3), stride: Size(2),
                padding: Edges(top: 0, left: 0, bottom: 1, right: 2))
        ),
        ("stride beyond kernel", [1, 3, 7, 8], Window(kernel: Size(2), stride: Size(3))),
        (
            "rectangular", [1, 2, 5, 4],
            Window(
                kernel: Size(3, 2), stride: Size(1, 2),
                padding: Edges(top: 2, left: 1, bottom: 2, right: 1))
        ),
        ("dilated", [1, 2, 6, 7], Window(kernel: Size(2), dilation: Size(2, 3))),
    ]

    static let poolings: [GradientCase] =
        windows.flatMap { name, shape, window in
            [
                GradientCase("max pool, \(name)") { net in
                    let x = try net.parameter("x", shape, .spaced(-1...1))
                    return try net.append(.maxPool(window), x)
                },
                GradientCase("average pool, \(name)") { net in
                    let x = try net.parameter("x", shape)
                    return try net.append(.averagePool(window, includesPadding: true), x)
                },
                GradientCase("average pool without padding, \(name)") { net in
                    let x = try net.parameter("x", shape)
                    return try net.append(.averagePool(window, includesPadding: false), x)
                },
            ]
        } + [
            GradientCase("global average pool") { net in
                let x = try net.parameter("x", [2, 3, 3, 5])
                return try net.append(.globalAveragePool, x)
            }
        ]
}

// MARK: - Matrices and losses

extension GradientCase {
    static let matrices: [GradientCase] =
        [(false, false), (false, true), (true, false), (true, true)].map { transposeA, transposeB in
            let op = Op.matmul(transposeA: transposeA, transposeB: transposeB)
            return GradientCase("\(op)") { net in
                let a = try net.parameter("a", transposeA ? [4, 3] : [3, 4])
                let b = try net.parameter("b", transposeB ? [5, 4] : [4, 5])
                return try net.append(op, a, b)
            }
        } + [
            GradientCase("dense, batch 1") { net in
                let x = try net.parameter("x", [1, 4])
                let w = try net.parameter("w", [5, 4])
                let y = try net.append(.matmul(transposeA: false, transposeB: true), x, w)
                return try net.append(.addBias, y, try net.parameter("bias", [5]))
            },
            GradientCase("add bias") { net in
                let x = try net.parameter("x", [3, 4])
                return try net.append(.addBias, x, try net.parameter("bias", [4]))
            },
            GradientCase("softmax") { net in
                let x = try net.parameter("x", [3, 4], .uniform(-2...2))
                return try net.append(.softmax, x)
            },
        ]
        + [Float(0), 0.1].map { smoothing in
            GradientCase("cross entropy, smoothing \(smoothing)", isLoss: true) { net in
                let logits = try net.parameter("logits", [4, 5], .uniform(-2...2))
                let labels = net.input("labels", [4], .given([0, 4, 2, 2]))
                return try net.append(.crossEntropy(smoothing: smoothing), logits, labels)
            }
        } + [
            GradientCase("cross entropy, batch 1", isLoss: true) { net in
                let logits = try net.parameter("logits", [1, 3])
                let labels = net.input("labels", [1], .given([1]))
                return try net.append(.crossEntropy(smoothing: 0.1), logits, labels)
            },
            GradientCase("twice the cross entropy", isLoss: true) { net in
                let logits = try net.parameter("logits", [3, 3])
                let labels = net.input("labels", [3], .given([1, 0, 2]))
                let loss = try net.append(.crossEntropy(smoothing: 0), logits, labels)
                return try net.append(.add, loss, loss)
            },
        ]
}

// MARK: - Channels

extension GradientCase {
    static let channels: [GradientCase] = [
        GradientCase("scale channels") { net in
            let x = try net.parameter("x", [2, 3, 2, 3])
            return try net.append(.scaleChannels, x, try net.parameter("s", [2, 3, 1, 1]))
        },
        GradientCase("squeeze and excitation") { net in
            let x = try net.parameter("x", [2, 3, 3, 2])
            let squeezed = try net.append(.globalAveragePool, x)
            let w = try net.parameter("w", [3, 3, 1, 1])
            let excited = try net.append(
                .convolution(Window(kernel: Size(1)), groups: 1), squeezed, w)
            return try net.append(
                .scaleChannels, x, try net.append(.activation(.sigmoid), excited))
        },
        GradientCase("concatenate") { net in
            let a = try net.parameter("a", [2, 2, 2, 3])
            let b = net.input("b", [2, 1, 2, 3])
            let c = try net.parameter("c", [2, 3, 2, 3])
            return try net.append(.concatenate, a, b, c)
        },
        GradientCase("concatenate one value twice") { net in
            let x = try net.parameter("x", [2, 2, 2, 2])
            return try net.append(.concatenate, x, try net.append(.activation(.tanh), x), x)
        },
        GradientCase("slices that overlap") { net in
            let x = try net.parameter("x", [2, 5, 2, 3])
            let a = try net.append(.slice(start: 0, count: 3), x)
            return try net.append(.concatenate, a, try net.append(.slice(start: 2, count: 3), x))
        },
        GradientCase("subsample and pad, odd size") { net in
            let x = try net.parameter("x", [2, 2, 5, 4])
            return try net.append(.subsamplePad(stride: 2, before: 1, after: 2), x)
        },
        GradientCase("subsample by three") { net in
            let x = try net.parameter("x", [1, 2, 7, 5])
            return try net.append(.subsamplePad(stride: 3, before: 0, after: 0), x)
        },
        GradientCase("flatten") { net in
            let x = try net.parameter("x", [2, 3, 2, 4])
            return try net.append(.flatten, x)
        },
        GradientCase("unflatten") { net in
            let x = try net.parameter("x", [2, 12])
            let image = try net.append(.unflatten([2, 3, 2, 2]), x)
            return try net.append(.scaleChannels, image, net.input("s", [2, 3, 1, 1]))
        },
    ]
}
