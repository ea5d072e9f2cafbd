import ApusGraph
import ApusTensor

// MARK: - Blocks of several layers

extension GradientCase {
    /// What passes over more than one layer act on: gradients that meet, images that share memory.
    static let engineBlocks: [GradientCase] = [
        GradientCase("residual blocks with rectifiers") { net in
            try residualBlocks(&net, .relu)
        },
        GradientCase("residual blocks without activation") { net in
            try residualBlocks(&net, nil)
        },
        GradientCase("bottlenecks with rectifiers") { net in
            try bottlenecks(&net, channels: 24, .relu)
        },
        GradientCase("bottlenecks of whole channel blocks") { net in
            try bottlenecks(&net, channels: 64, .relu)
        },
        GradientCase("bottlenecks without activation") { net in
            try bottlenecks(&net, channels: 40, nil)
        },
        GradientCase("bottlenecks, with given statistics") { net in
            try bottlenecks(&net, channels: 24, .relu, frozen: true)
        },
        GradientCase("dense block of whole channel blocks") { net in
            try denseBlock(&net, first: 16, growth: 16)
        },
        GradientCase("dense block that grows by several blocks") { net in
            try denseBlock(&net, first: 32, growth: 48)
        },
        GradientCase("dense block of broken channel blocks") { net in
            try denseBlock(&net, first: 16, growth: 12)
        },
        GradientCase("dense block whose first images are read again") { net in
            let y = try denseBlock(&net, first: 16, growth: 16)
            let front = try net.append(.slice(start: 0, count: 16), y)
            return try net.append(.concatenate, y, front)
        },
    ]

    /// Squeeze-and-excitation merges with some normalizations.
    static let excitedBlocks: [GradientCase] =
        [nil, ActivationFunction.relu, .relu6, .silu, .tanh].map { activation in
            let name = activation.map { "\($0)" } ?? "nothing"
            return GradientCase("squeeze and excitation after \(name)") { net in
                try excitedBlock(&net, channels: 24, activation)
            }
        } + [
            GradientCase("squeeze and excitation of whole channel blocks") { net in
                try excitedBlock(&net, channels: 32, .silu)
            },
            GradientCase("squeeze and excitation, with given statistics") { net in
                try excitedBlock(&net, channels: 24, .silu, frozen: true)
            },
        ]

    private static func excitedBlock(
        _ net: inout TestNetwork, channels: Int, _ activation: ActivationFunction?,
        frozen: Bool = false
    ) throws -> ValueID {
        let x = try net.blocked(try net.parameter("x", [3, 16, 5, 4]))
        let wide = try convolved(&net, "expand", x, channels)
        var y = try normalized(&net, "n", wide, frozen: frozen)
        if let activation { y = try net.append(.activation(activation), y) }
        let squeezed = try convolved(&net, "squeeze", try net.append(.globalAveragePool, y), 8)
        let excited = try convolved(
            &net, "excite", try net.append(.activation(.silu), squeezed), channels)
        let gated = try net.append(
            .scaleChannels, y, try net.append(.activation(.sigmoid), excited))
        return try convolved(&net, "project", gated, 16)
    }

    /// With the batch's statistics, or with those of before if `frozen`.
    private static func normalized(
        _ net: inout TestNetwork, _ name: String, _ x: ValueID, frozen: Bool = false
    ) throws -> ValueID {
        if frozen { return try given(&net, name, x) }
        let channels: Shape = [net.builder.shape(x)[1]]
        let gamma = try net.parameter("\(name).gamma", channels, .uniform(0.5...1.5))
        let beta = try net.parameter("\(name).beta", channels)
        let mean = try net.buffer("\(name).mean", channels, .uniform(0.5...1.5))
        let outputs = try net.builder.append(
            .batchNorm(Normalization(epsilon: 1e-3)), [x, gamma, beta], path: name)
        try net.update(
            "\(name).mean", .movingAverage(momentum: 0.1, correction: 1), mean, outputs[1])
        return outputs[0]
    }

    private static func convolved(
        _ net: inout TestNetwork, _ name: String, _ x: ValueID, _ channels: Int
    ) throws -> ValueID {
        let inputs = net.builder.shape(x)[1]
        let bound = (3 / Double(inputs)).squareRoot()
        let w = try net.parameter(
            "\(name).w", [channels, inputs, 1, 1], .uniform(-bound...bound))
        return try net.append(.convolution(Window(kernel: Size(1)), groups: 1), x, w)
    }

    private static func residualBlocks(
        _ net: inout TestNetwork, _ activation: ActivationFunction?
    ) throws -> ValueID {
        var x = try net.blocked(try net.parameter("x", [3, 24, 5, 4]))
        for name in ["a", "b", "c"] {
            let y = try convolved(&net, name, x, 24)
            x = try net.append(.add, try normalized(&net, name, y), x)
            if let activation { x = try net.append(.activation(activation), x) }
        }
        return x
    }

    /// One block with a projected shortcut and two with none, each of two 1x1 convolutions.
    static func bottlenecks(
        _ net: inout TestNetwork, channels: Int, _ activation: ActivationFunction?,
        frozen: Bool = false
    ) throws -> ValueID {
        func norm(_ name: String, _ x: ValueID) throws -> ValueID {
            try normalized(&net, name, x, frozen: frozen)
        }
        var x = try net.blocked(try net.parameter("x", [4, 64, 5, 4]))
        for name in ["a", "b", "c"] {
            let inner = try norm("\(name)1", try convolved(&net, "\(name)1", x, 64))
            let open = try net.append(.activation(.relu), inner)
            let y = try norm("\(name)2", try convolved(&net, "\(name)2", open, channels))
            if name == "a" { x = try norm("down", try convolved(&net, "down", x, channels)) }
            x = try net.append(.add, y, x)
            if let activation { x = try net.append(.activation(activation), x) }
        }
        return x
    }

    /// Normalized with statistics of before.
    private static func given(
        _ net: inout TestNetwork, _ name: String, _ x: ValueID
    ) throws -> ValueID {
        let channels: Shape = [net.builder.shape(x)[1]]
        let gamma = try net.parameter("\(name).gamma", channels, .uniform(0.5...1.5))
        let beta = try net.parameter("\(name).beta", channels)
        let mean = try net.buffer("\(name).mean", channels, .uniform(-0.5...0.5))
        let variance = try net.buffer("\(name).variance", channels, .uniform(0.5...1.5))
        return try net.append(
            .normalize(Normalization(epsilon: 1e-3)), x, gamma, beta, mean, variance)
    }

    /// Every 1x1 convolution appends to all images before, which it normalizes and rectifies; the last reads all and
    /// applies another function, or none. (A shift that is not rectified is lost in the next normalization.)
    static func pointwiseDenseBlock(
        _ net: inout TestNetwork, _ shape: Shape, growth: Int, _ activation: ActivationFunction?
    ) throws -> ValueID {
        var x = try net.blocked(try net.parameter("x", shape))
        for name in ["a", "b", "c"] {
            var z = try normalized(&net, name, x)
            if let function = name == "c" ? activation : .relu {
                z = try net.append(.activation(function), z)
            }
            let y = try convolved(&net, name, z, growth)
            x = name == "c" ? y : try net.append(.concatenate, x, y)
        }
        return x
    }

    static func normalizedConvolution(
        _ net: inout TestNetwork, _ x: ValueID, _ channels: Int
    ) throws -> ValueID {
        let z = try net.append(.activation(.relu), try normalized(&net, "norm", x))
        return try convolved(&net, "wide", z, channels)
    }

    private static func denseBlock(
        _ net: inout TestNetwork, first: Int, growth: Int
    ) throws -> ValueID {
        var x = try net.blocked(try net.parameter("x", [3, first, 5, 4]))
        for name in ["a", "b", "c"] {
            let z = try net.append(.activation(.silu), try normalized(&net, name, x))
            x = try net.append(.concatenate, x, try convolved(&net, name, z, growth))
        }
        return try normalized(&net, "last", x)
    }
}
