import ApusGraph
import ApusTensor

// Cases for the engine: what its blocked layout and its kernels for several shapes make special.
// They are larger than those whose gradients are checked by differences.

// MARK: - Convolution

extension GradientCase {
    static let engineConvolutions: [GradientCase] =
        [3, 10, 16, 24, 40].flatMap { channels in
            [
                engineConvolution(
                    "3x3, \(channels) to \(channels + 8)", [2, channels, 9, 7], channels + 8,
                    Window(kernel: Size(3), padding: Edges(1))),
                engineConvolution(
                    "1x1, \(channels) to 24", [2, channels, 5, 6], 24, Window(kernel: Size(1))),
                engineConvolution(
                    "depthwise 3x3, \(channels)", [2, channels, 9, 8], channels, groups: channels,
                    Window(kernel: Size(3), padding: Edges(1))),
                engineConvolution(
                    "depthwise 5x5 /2, \(channels)", [2, channels, 9, 11], channels,
                    groups: channels, bias: true,
                    Window(kernel: Size(5), stride: Size(2), padding: Edges(2))),
            ]
        } + [
            engineConvolution(
                "3x3, batch 1, 3 to 10, bias", [1, 3, 11, 13], 10, bias: true,
                Window(kernel: Size(3), padding: Edges(1))),
            engineConvolution(
                "1x1 /3 beyond its kernel", [2, 24, 10, 8], 40,
                Window(kernel: Size(1), stride: Size(3))),
            engineConvolution(
                "2x2 /3 beyond its kernel", [2, 16, 11, 8], 16,
                Window(kernel: Size(2), stride: Size(3))),
            engineConvolution(
                "same padding of an even size", [2, 24, 8, 10], 16,
                Window(
                    kernel: Size(3), stride: Size(2),
                    padding: Edges(top: 0, left: 0, bottom: 1, right: 1))),
            engineConvolution(
                "dilation 2", [2, 16, 9, 9], 32,
                Window(kernel: Size(3), dilation: Size(2), padding: Edges(2))),
            engineConvolution(
                "dilation 3, 10 channels", [1, 10, 11, 9], 24,
                Window(kernel: Size(3), dilation: Size(3), padding: Edges(3))),
            engineConvolution(
                "groups 2 of 5 channels", [2, 10, 7, 7], 20, groups: 2, bias: true,
                Window(kernel: Size(3), padding: Edges(1))),
            engineConvolution(
                "groups 2 of 16 channels", [2, 32, 7, 7], 32, groups: 2,
                Window(kernel: Size(3), stride: Size(2), padding: Edges(1))),
            engineConvolution(
                "groups 4 of 8 channels", [1, 32, 6, 6], 64, groups: 4,
                Window(kernel: Size(3), padding: Edges(1))),
            engineConvolution(
                "groups 16 of 4 channels", [2, 64, 7, 6], 64, groups: 16,
                Window(kernel: Size(3), stride: Size(2), padding: Edges(1))),
            engineConvolution(
                "groups 5 of 8 channels, bias", [2, 40, 5, 6], 40, groups: 5, bias: true,
                Window(kernel: Size(3), padding: Edges(1))),
            engineConvolution(
                "groups 3 of 8 channels, 1x1", [2, 24, 5, 6], 48, groups: 3,
                Window(kernel: Size(1))),
            engineConvolution(
                "two outputs of every channel, bias", [2, 24, 5, 6], 48, groups: 24, bias: true,
                Window(kernel: Size(3), padding: Edges(1))),
            firstConvolution(1, Window(kernel: Size(3), padding: Edges(1))),
            firstConvolution(3, Window(kernel: Size(7), stride: Size(2), padding: Edges(3))),
            firstConvolution(4, Window(kernel: Size(3), padding: Edges(1))),
            firstConvolution(5, Window(kernel: Size(3), padding: Edges(1))),
        ]

    private static func engineConvolution(
        _ name: String, _ image: Shape, _ channels: Int, groups: Int = 1, bias: Bool = false,
        _ window: Window
    ) -> GradientCase {
        GradientCase("convolution, \(name)") { net in
            let kernel = window.kernel
            let shape: Shape = [channels, image[1] / groups, kernel.height, kernel.width]
            let x = try net.blocked(try net.parameter("x", image))
            var inputs = [x, try net.parameter("w", shape)]
            if bias { inputs.append(try net.parameter("bias", [channels])) }
            return try net.builder.append(
                .convolution(window, groups: groups), inputs, path: "convolution")[0]
        }
    }

    /// The input is an image, read in plain layout if it has few channels, and has no gradient.
    private static func firstConvolution(_ channels: Int, _ window: Window) -> GradientCase {
        GradientCase("first convolution \(window) of \(channels) channels") { net in
            let x = net.input("x", [2, channels, 13, 11])
            let w = try net.parameter(
                "w", [24, channels, window.kernel.height, window.kernel.width])
            let bias = try net.parameter("bias", [24])
            let y = try net.append(.convolution(window, groups: 1), x, w, bias)
            return try net.append(.activation(.relu), y)
        }
    }
}

extension TestNetwork {
    /// The same image in the engine's blocked layout: pooled over windows of one pixel.
    mutating func blocked(_ x: ValueID) throws -> ValueID {
        try append(.averagePool(Window(kernel: Size(1)), includesPadding: true), x)
    }
}

// MARK: - Normalization

extension GradientCase {
    /// Chains of separate nodes, which the compiler fuses or not, with running statistics.
    static let engineNormalizations: [GradientCase] =
        [10, 16, 40].flatMap { channels in
            [false, true].flatMap { frozen in
                [(false, false), (true, false), (false, true), (true, true)].map { residual, relu in
                    GradientCase(
                        (frozen ? "normalize" : "batch norm") + (residual ? ", add" : "")
                            + (relu ? ", relu" : "") + " of \(channels) channels"
                    ) { net in
                        try normalization(
                            &net, [3, channels, 5, 7], frozen: frozen, residual: residual,
                            relu: relu)
                    }
                }
            }
        }
        + [true, false].map { residual in
            // More than one group of channels, and written past the caches.
            GradientCase("batch norm of large images" + (residual ? " + residual" : "")) { net in
                try normalization(
                    &net, [7, 200, 56, 56], frozen: false, residual: residual, relu: false)
            }
        }

    private static func normalization(
        _ net: inout TestNetwork, _ shape: Shape, frozen: Bool, residual: Bool, relu: Bool
    ) throws -> ValueID {
        let channels: Shape = [shape[1]]
        let n = Normalization(epsilon: 1e-5)
        let x = try net.parameter("x", shape, .uniform(-1...3))
        let gamma = try net.parameter("gamma", channels)
        let beta = try net.parameter("beta", channels)
        let mean = try net.buffer("mean", channels, .uniform(0.5...1.5))
        let variance = try net.buffer("variance", channels, .uniform(0.5...1.5))
        var y: ValueID
        if frozen {
            y = try net.append(.normalize(n), x, gamma, beta, mean, variance)
        } else {
            let outputs = try net.builder.append(
                .batchNorm(n), [x, gamma, beta], path: "norm")
            y = outputs[0]
            for (name, old, new) in [
                ("mean", mean, outputs[1]), ("variance", variance, outputs[2]),
            ] {
                try net.update(name, .movingAverage(momentum: 0.1, correction: 1.25), old, new)
            }
        }
        if residual { y = try net.append(.add, y, try net.parameter("residual", shape)) }
        if relu { y = try net.append(.activation(.relu), y) }
        return y
    }
}

// MARK: - Normalization and pooling

extension GradientCase {
    /// Chains of a batch norm, a rectifier and max pooling, which the compiler merges or not.
    static let pooledNormalizations: [GradientCase] =
        [10, 16, 40].flatMap { channels in
            (poolingWindows + [
                Window(kernel: Size(3), padding: Edges(1)),
                Window(kernel: Size(2, 3), dilation: Size(2), padding: Edges(1)),
            ]).map { window in
                GradientCase("batch norm, relu, max pool \(window) of \(channels) channels") {
                    net in
                    let y = try normalization(
                        &net, [3, channels, 9, 7], frozen: false, residual: false, relu: true)
                    return try net.append(.maxPool(window), y)
                }
            }
        }
        + [
            // More than one group of channels.
            GradientCase("batch norm, relu, max pool of large images") { net in
                let y = try normalization(
                    &net, [7, 40, 56, 54], frozen: false, residual: false, relu: true)
                return try net.append(.maxPool(poolingWindows[0]), y)
            },
            GradientCase("batch norm, relu, max pool and its mean") { net in
                let y = try normalization(
                    &net, [3, 24, 9, 7], frozen: false, residual: false, relu: true)
                let pooled = try net.append(.maxPool(poolingWindows[0]), y)
                let mean = try net.append(.globalAveragePool, pooled)
                return try net.append(.scaleChannels, pooled, mean)
            },
            GradientCase("batch norm, relu, max pool, and what is normalized elsewhere") { net in
                let x = try net.blocked(try net.parameter("image", [3, 24, 9, 7]))
                let n = Normalization(epsilon: 1e-3)
                let gamma = try net.parameter("gamma", [24], .uniform(0.5...1.5))
                let beta = try net.parameter("beta", [24])
                var y = try net.append(.batchNorm(n), x, gamma, beta)
                y = try net.append(.activation(.relu), y)
                let pooled = try net.append(.maxPool(poolingWindows[0]), y)
                let means = try net.append(.globalAveragePool, x)
                return try net.append(.scaleChannels, pooled, means)
            },
        ]
}

// MARK: - Pointwise

extension GradientCase {
    static let enginePointwise: [GradientCase] =
        ActivationFunction.all.flatMap { function in
            [3, 16, 40].map { channels in
                GradientCase("blocked \(function) of \(channels) channels") { net in
                    // An odd number of spaces keeps clear of the kinks at 0 and 6.
                    let shape: Shape = [2, channels, 5, 4]
                    let x = try net.parameter("x", shape, .spaced(-3...9))
                    let y = try net.append(.activation(function), try net.blocked(x))
                    // The padding of the last block must stay zero for what comes next.
                    let w = try net.parameter("w", [5, channels, 1, 1])
                    return try net.append(.convolution(Window(kernel: Size(1)), groups: 1), y, w)
                }
            }
        }
        + [10, 16, 40].flatMap { channels in
            let shape: Shape = [3, channels, 5, 3]
            return [
                GradientCase("blocked add of \(channels) channels") { net in
                    let a = try net.blocked(try net.parameter("a", shape))
                    let b = try net.blocked(try net.parameter("b", shape))
                    return try net.append(.add, a, b)
                },
                GradientCase("blocked dropout of \(channels) channels") { net in
                    let x = try net.blocked(try net.parameter("x", shape))
                    return try net.append(.dropout(rate: 0.3, key: .max), x)
                },
                GradientCase("plain dropout of \(channels) features") { net in
                    let x = try net.parameter("x", [5, channels])
                    return try net.append(.dropout(rate: 0.7, key: 5), x)
                },
                GradientCase("blocked stochastic depth of \(channels) channels") { net in
                    let x = try net.parameter("x", [8, channels, 2, 2])
                    let y = try net.blocked(x)
                    let kept = try net.append(.stochasticDepth(rate: 0.5, key: 1 << 63), y)
                    return try net.append(.add, kept, y)
                },
            ]
        } + [
            GradientCase("add of a plain and a blocked image") { net in
                let a = try net.parameter("a", [2, 10, 3, 3])
                let b = try net.blocked(try net.parameter("b", [2, 10, 3, 3]))
                return try net.append(.add, a, b)
            }
        ]
}

// MARK: - Pooling

extension GradientCase {
    private static let poolingWindows = [
        Window(kernel: Size(3), stride: Size(2), padding: Edges(1)),
        Window(
            kernel: Size(3), stride: Size(2),
            padding: Edges(top: 0, left: 1, bottom: 2, right: 0)),
        Window(kernel: Size(2), stride: Size(2)),
        Window(kernel: Size(2), stride: Size(3), padding: Edges(1)),
    ]

    static let enginePoolings: [GradientCase] = [10, 16, 40].flatMap { channels in
        let shape: Shape = [2, channels, 9, 7]
        let windows = poolingWindows + [Window(kernel: Size(5), padding: Edges(2))]
        return windows.flatMap { window in
            [
                GradientCase("max pool \(window) of \(channels) channels") { net in
                    let x = try net.parameter("x", shape, .spaced(-1...1))
                    return try net.append(.maxPool(window), x)
                },
                GradientCase("max pool \(window) with ties, \(channels) channels") { net in
                    let x = try net.parameter("x", shape)
                    let y = try net.append(.activation(.relu), try net.blocked(x))
                    return try net.append(.maxPool(window), y)
                },
            ]
                + [true, false].map { includesPadding in
                    GradientCase(
                        "average pool \(window)\(includesPadding ? "" : " without padding") of "
                            + "\(channels) channels"
                    ) { net in
                        let x = try net.parameter("x", shape)
                        return try net.append(
                            .averagePool(window, includesPadding: includesPadding), x)
                    }
                }
        } + [
            GradientCase("global average pool of \(channels) channels") { net in
                try net.append(.globalAveragePool, try net.parameter("x", shape))
            },
            GradientCase("global average pool of one pixel, \(channels) channels") { net in
                try net.append(.globalAveragePool, try net.parameter("x", [1, channels, 1, 1]))
            },
        ]
    }
}

// MARK: - Matrices and losses

extension GradientCase {
    static let engineMatrices: [GradientCase] = [(1, 1), (5, 10), (33, 100), (3, 1000)].flatMap {
        rows, columns in
        [
            GradientCase("dense, \(rows)x\(columns)") { net in
                let x = try net.parameter("x", [rows, 17])
                let w = try net.parameter("w", [columns, 17])
                let y = try net.append(.matmul(transposeA: false, transposeB: true), x, w)
                return try net.append(.addBias, y, try net.parameter("bias", [columns]))
            },
            GradientCase("cross entropy of large logits, \(rows)x\(columns + 1)", isLoss: true) {
                net in
                let classes = columns + 1
                let logits = try net.parameter("logits", [rows, classes], .uniform(-40...40))
                let labels = net.input(
                    "labels", [rows], .given((0..<rows).map { Double($0 * 7 % classes) }))
                return try net.append(.crossEntropy(smoothing: 0.1), logits, labels)
            },
            GradientCase("softmax, \(rows)x\(columns + 1)") { net in
                let x = try net.parameter("x", [rows, columns + 1], .uniform(-3...3))
                return try net.append(.softmax, x)
            },
        ]
    }
}

// MARK: - Channels

extension GradientCase {
    static let engineChannels: [GradientCase] =
        [3, 10, 16, 40].flatMap { channels in
            [
                GradientCase("scale of \(channels) channels, fed by squeezing") { net in
                    let x = try net.blocked(try net.parameter("x", [2, channels, 5, 4]))
                    let squeezed = try net.append(.globalAveragePool, x)
                    let w = try net.parameter("w", [channels, channels, 1, 1])
                    let excited = try net.append(
                        .convolution(Window(kernel: Size(1)), groups: 1), squeezed, w)
                    return try net.append(
                        .scaleChannels, x, try net.append(.activation(.sigmoid), excited))
                },
                GradientCase("concatenate 3, \(channels) and 21 channels") { net in
                    let a = try net.parameter("a", [2, 3, 3, 5])
                    let b = try net.blocked(try net.parameter("b", [2, channels, 3, 5]))
                    let c = try net.parameter("c", [2, 21, 3, 5])
                    return try net.append(.concatenate, a, b, c)
                },
                GradientCase("slice of \(channels) channels from the middle") { net in
                    let x = try net.blocked(try net.parameter("x", [2, channels + 12, 3, 5]))
                    return try net.append(.slice(start: 5, count: channels), x)
                },
                GradientCase("flatten and unflatten \(channels) channels") { net in
                    let x = try net.blocked(try net.parameter("x", [2, channels, 3, 4]))
                    let flat = try net.append(.flatten, x)
                    let scaled = try net.append(.activation(.tanh), flat)
                    let image = try net.append(.unflatten([2, channels, 4, 3]), scaled)
                    return try net.append(
                        .maxPool(Window(kernel: Size(2), stride: Size(2))), image)
                },
            ]
                + [(2, 3, 4), (2, 0, 5), (3, 7, 0), (1, 8, 8)].map { stride, before, after in
                    GradientCase(
                        "subsample \(channels) channels by \(stride), pad \(before), \(after)"
                    ) { net in
                        let x = try net.blocked(try net.parameter("x", [2, channels, 7, 6]))
                        return try net.append(
                            .subsamplePad(stride: stride, before: before, after: after), x)
                    }
                }
        }
}
