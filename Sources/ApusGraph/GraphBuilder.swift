import ApusTensor

/// Writes a graph layer by layer: the way for networks that are not series-parallel, and what layer
/// descriptions lower themselves with. Every method throws a `GraphError` where shapes do not fit.
public struct GraphBuilder: Sendable {
    /// Whether layers behave as in training (batch statistics, dropout) or as in use.
    public enum Mode: String, Hashable, Codable, Sendable { case training, inference }

    public private(set) var graph = Graph()
    public let mode: Mode
    /// Names of parameters that are not trained. A normalization whose scale is among them uses its
    /// running statistics in training, too, and leaves them as they are.
    public let frozen: Set<String>
    /// What every layer made, by its path; a container's children that share its path come first.
    public internal(set) var layers: [String: ValueID] = [:]

    public init(mode: Mode, frozen: Set<String> = []) {
        self.mode = mode
        self.frozen = frozen
    }

    public func shape(_ value: ValueID) -> Shape { graph.shape(value) }

    /// A value the caller fills before every run.
    public mutating func input(_ name: String, _ shape: Shape) -> ValueID {
        let value = graph.appendSource(.input, shape, path: name)
        graph.inputs[name] = value
        return value
    }

    /// A trainable tensor. `fans` defaults to those of the shape.
    public mutating func parameter(
        _ name: String, _ shape: Shape, _ initializer: Initializer, role: ParameterInfo.Role,
        fans: Fans? = nil
    ) throws(GraphError) -> ValueID {
        try requireNew(name, shape)
        let value = graph.appendSource(.parameter, shape, path: name)
        graph.parameters.append(
            ParameterInfo(
                name: name, shape: shape, initializer: initializer, fans: fans ?? Fans(shape),
                role: role, value: value, isFrozen: frozen.contains(name)))
        return value
    }

    /// A tensor kept between runs, not trained.
    public mutating func buffer(
        _ name: String, _ shape: Shape, initialValue: Float
    ) throws(GraphError) -> ValueID {
        try requireNew(name, shape)
        let value = graph.appendSource(.buffer, shape, path: name)
        graph.buffers.append(
            BufferInfo(name: name, shape: shape, initialValue: initialValue, value: value))
        return value
    }

    private func requireNew(_ name: String, _ shape: Shape) throws(GraphError) {
        let taken =
            graph.parameters.contains { $0.name == name }
            || graph.buffers.contains { $0.name == name }
        if taken {
            throw GraphError(path: name, problem: "this name is used twice", shapes: [shape])
        }
    }

    /// Names a value for the caller to read after a run.
    public mutating func output(_ name: String, _ value: ValueID) { graph.outputs[name] = value }

    /// Appends any operation.
    public mutating func append(
        _ op: Op, _ inputs: [ValueID], path: String
    ) throws(GraphError) -> [ValueID] {
        try graph.append(op, inputs, path: path)
    }

    /// Appends an operation whose result becomes the new contents of the buffer called `name`.
    public mutating func update(
        _ name: String, _ op: Op, _ inputs: [ValueID], path: String
    ) throws(GraphError) {
        graph.updates[name] = try single(op, inputs, path)
    }

    private mutating func single(
        _ op: Op, _ inputs: [ValueID], _ path: String
    ) throws(GraphError) -> ValueID {
        try graph.append(op, inputs, path: path)[0]
    }

    public mutating func convolution(
        _ x: ValueID, _ layer: Convolution, path: String
    ) throws(GraphError) -> ValueID {
        let input = try imageShape(x, path)
        let channels = layer.channels ?? input[1]
        let groups = layer.groups ?? input[1]
        guard groups >= 1, channels >= 1, input[1] % groups == 0, channels % groups == 0 else {
            throw GraphError(
                path: path,
                problem: "\(input[1]) input and \(channels) output channels cannot be divided "
                    + "into \(groups) groups",
                shapes: [input])
        }
        let window = try window(x, layer.kernel, layer.stride, layer.dilation, layer.padding, path)
        let shape: Shape = [
            channels, input[1] / groups, layer.kernel.height, layer.kernel.width,
        ]
        let fans = Fans(shape, groups: groups)
        var inputs = [x]
        inputs.append(
            try parameter(
                path + ".weight", shape, layer.initializer, role: .weight, fans: fans))
        if layer.bias {
            inputs.append(
                try parameter(
                    path + ".bias", [channels], .uniformFanIn, role: .bias, fans: fans))
        }
        return try single(.convolution(window, groups: groups), inputs, path)
    }

    /// Training mode normalizes with the batch's statistics and updates the running ones, unless the
    /// layer is frozen.
    public mutating func batchNorm(
        _ x: ValueID, _ layer: BatchNorm, path: String
    ) throws(GraphError) -> ValueID {
        let input = try imageShape(x, path)
        let channels: Shape = [input[1]]
        let gamma = try parameter(path + ".weight", channels, layer.scale, role: .scale)
        let beta = try parameter(path + ".bias", channels, .constant(0), role: .shift)
        let mean = try buffer(path + ".running_mean", channels, initialValue: 0)
        let variance = try buffer(path + ".running_var", channels, initialValue: 1)
        let attributes = Normalization(epsilon: layer.epsilon)
        guard mode == .training, !frozen.contains(path + ".weight") else {
            return try single(.normalize(attributes), [x, gamma, beta, mean, variance], path)
        }
        let count = input[0] * input[2] * input[3]
        guard count > 1 else {
            throw GraphError(
                path: path,
                problem: "batch statistics need more than one value a channel; "
                    + "use a larger batch or larger images",
                shapes: [input])
        }
        let results = try graph.append(.batchNorm(attributes), [x, gamma, beta], path: path)
        // The running variance is the unbiased estimate, as in PyTorch.
        let unbiased = Float(count) / Float(count - 1)
        for (buffer, statistic, name, correction) in [
            (mean, results[1], ".running_mean", Float(1)),
            (variance, results[2], ".running_var", unbiased),
        ] {
            try update(
                path + name, .movingAverage(momentum: layer.momentum, correction: correction),
                [buffer, statistic], path: path)
        }
        return results[0]
    }

    public mutating func dense(
        _ x: ValueID, _ layer: Dense, path: String
    ) throws(GraphError) -> ValueID {
        let input = shape(x)
        guard input.rank == 2 else {
            throw GraphError(
                path: path, problem: "expects [batch, features]; flatten or pool first",
                shapes: [input])
        }
        guard layer.features >= 1 else {
            throw GraphError(
                path: path, problem: "needs at least one feature, not \(layer.features)",
                shapes: [input])
        }
        let shape: Shape = [layer.features, input[1]]
        let fans = Fans(shape)
        let weight = try parameter(
            path + ".weight", shape, layer.initializer, role: .weight)
        let y = try single(.matmul(transposeA: false, transposeB: true), [x, weight], path)
        guard layer.bias else { return y }
        let bias = try parameter(
            path + ".bias", [layer.features], .uniformFanIn, role: .bias, fans: fans)
        return try single(.addBias, [y, bias], path)
    }

    /// The mean cross entropy; also outputs `logits` and `loss`. Labels are an input `labels` [N].
    public mutating func crossEntropy(
        _ logits: ValueID, smoothing: Float = 0
    ) throws(GraphError) -> ValueID {
        let labels = input("labels", [shape(logits)[0]])
        let loss = try single(.crossEntropy(smoothing: smoothing), [logits, labels], "loss")
        output("logits", logits)
        output("loss", loss)
        return loss
    }

    /// A window over the image `x`.
    func window(
        _ x: ValueID, _ kernel: Size, _ stride: Size, _ dilation: Size, _ padding: Padding,
        _ path: String
    ) throws(GraphError) -> Window {
        let input = try imageShape(x, path)
        let smallest = [kernel, stride, dilation].map { min($0.height, $0.width) }.min() ?? 0
        guard smallest >= 1 else {
            throw GraphError(
                path: path, problem: "kernel, stride and dilation must be positive",
                shapes: [input])
        }
        return Window(
            kernel: kernel, stride: stride, dilation: dilation,
            padding: padding.edges(
                input: Size(input[2], input[3]), kernel: kernel, stride: stride,
                dilation: dilation))
    }

    private func imageShape(_ x: ValueID, _ path: String) throws(GraphError) -> Shape {
        let input = shape(x)
        guard input.rank == 4 else {
            throw GraphError(
                path: path, problem: "expects images [batch, channels, height, width]",
                shapes: [input])
        }
        return input
    }
}
