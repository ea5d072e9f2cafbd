import ApusTensor

extension Graph {
    /// Adds the nodes that compute the gradient of the output `loss`, or of the caller's own loss where
    /// outputs are seeded, for every parameter that is not frozen.
    ///
    /// Nodes are visited in reverse; contributions to a value read several times are added. Values
    /// that no such parameter influences get no gradient nodes.
    public func differentiated(loss name: String = "loss") throws(GraphError) -> Graph {
        let trained = parameters.filter { !$0.isFrozen }
        guard !trained.isEmpty else {
            throw GraphError(path: "", problem: "has no parameter to train", shapes: [])
        }
        var pass = GradientPass(graph: self, by: trained.map(\.value))
        for (name, seed) in seeds { if let value = outputs[name] { pass.gradients[value] = seed } }
        if seeds.isEmpty {
            guard let loss = outputs[name], shape(loss) == [1] else {
                throw GraphError(
                    path: name, problem: "is not a scalar output to differentiate", shapes: [])
            }
            pass.gradients[loss] = pass.graph.appendSource(.constant(1), [1], path: name)
        }
        for node in nodes.reversed() { try pass.visit(node) }
        for parameter in trained {
            guard let gradient = pass.gradients[parameter.value] else {
                throw GraphError(
                    path: parameter.name, problem: "the loss does not depend on this parameter",
                    shapes: [parameter.shape])
            }
            pass.graph.gradients[parameter.name] = gradient
        }
        return pass.graph
    }

    /// Adds an input `seed` of the shape of the output called `name` and, as outputs `gradient PATH`,
    /// the gradients of the sum of seed times output for the outputs called `paths`.
    public func backpropagated(
        from name: String = "logits", to paths: [String]
    ) throws(GraphError) -> Graph {
        var values: [ValueID] = []
        for path in [name] + paths {
            guard let value = outputs[path] else {
                throw GraphError(path: path, problem: "is not an output of the graph", shapes: [])
            }
            values.append(value)
        }
        let output = values.removeFirst()
        var pass = GradientPass(graph: self, by: values)
        let seed = pass.graph.appendSource(.input, shape(output), path: "seed")
        pass.graph.inputs["seed"] = seed
        pass.gradients[output] = seed
        for node in nodes.reversed() { try pass.visit(node) }
        for (path, value) in zip(paths, values) {
            guard let gradient = pass.gradients[value] else {
                throw GraphError(
                    path: path, problem: "the output '\(name)' does not depend on this layer",
                    shapes: [shape(value)])
            }
            pass.graph.outputs["gradient " + path] = gradient
        }
        return pass.graph
    }
}

private struct GradientPass {
    var graph: Graph
    /// The gradient of the loss by value.
    var gradients: [ValueID: ValueID] = [:]
    /// Values that one of those differentiated by influences.
    let active: Set<ValueID>

    init(graph: Graph, by values: [ValueID]) {
        self.graph = graph
        var active = Set(values)
        for node in graph.nodes where node.inputs.contains(where: active.contains) {
            active.formUnion(node.outputs)
        }
        self.active = active
    }

    mutating func emit(_ op: Op, _ inputs: [ValueID], _ node: Node) throws(GraphError) -> ValueID {
        try graph.append(op, inputs, path: node.path)[0]
    }

    mutating func accumulate(
        _ gradient: ValueID, into value: ValueID, _ node: Node
    ) throws(GraphError) {
        guard active.contains(value) else { return }
        if let sum = gradients[value] {
            gradients[value] = try emit(.add, [sum, gradient], node)
        } else {
            gradients[value] = gradient
        }
    }

    mutating func visit(_ node: Node) throws(GraphError) {
        guard let dy = node.outputs.first.flatMap({ gradients[$0] }) else { return }
        let x = node.inputs
        let y = node.outputs
        switch node.op {
        case .input, .parameter, .buffer, .constant:
            break

        case .convolution(let window, let groups):
            if active.contains(x[0]) {
                let op = Op.convolutionInputGradient(
                    window, groups: groups, input: graph.shape(x[0]))
                try accumulate(try emit(op, [dy, x[1]], node), into: x[0], node)
            }
            let op = Op.convolutionWeightGradient(window, groups: groups, bias: x.count == 3)
            let results = try graph.append(op, [x[0], dy], path: node.path)
            for (gradient, parameter) in zip(results, x.dropFirst()) {
                try accumulate(gradient, into: parameter, node)
            }

        case .batchNorm(let n):
            try normalization(n, node, x, mean: y[1], variance: y[2], frozen: false, dy)
        case .normalize(let n):
            try normalization(n, node, x, mean: x[3], variance: x[4], frozen: true, dy)

        case .activation(let function):
            let saved = function.differentiatesFromOutput ? y[0] : x[0]
            let dx = try emit(.activationGradient(function), [dy, saved], node)
            try accumulate(dx, into: x[0], node)
        case .add:
            try accumulate(dy, into: x[0], node)
            try accumulate(dy, into: x[1], node)
        case .dropout, .stochasticDepth:
            try accumulate(try emit(node.op, [dy], node), into: x[0], node)

        case .maxPool(let window):
            let dx = try emit(.maxPoolGradient(window), [x[0], dy], node)
            try accumulate(dx, into: x[0], node)
        case .averagePool(let window, let includesPadding):
            let op = Op.averagePoolGradient(
                window, includesPadding: includesPadding, input: graph.shape(x[0]))
            try accumulate(try emit(op, [dy], node), into: x[0], node)
        case .globalAveragePool:
            let op = Op.globalAveragePoolGradient(input: graph.shape(x[0]))
            try accumulate(try emit(op, [dy], node), into: x[0], node)

        case .matmul(let transposeA, let transposeB):
            if active.contains(x[0]) {
                let da =
                    transposeA
                    ? try emit(.matmul(transposeA: transposeB, transposeB: true), [x[1], dy], node)
                    : try emit(
                        .matmul(transposeA: false, transposeB: !transposeB), [dy, x[1]], node)
                try accumulate(da, into: x[0], node)
            }
            if active.contains(x[1]) {
                let db =
                    transposeB
                    ? try emit(.matmul(transposeA: true, transposeB: transposeA), [dy, x[0]], node)
                    : try emit(
                        .matmul(transposeA: !transposeA, transposeB: false), [x[0], dy], node)
                try accumulate(db, into: x[1], node)
            }
        case .addBias:
            try accumulate(dy, into: x[0], node)
            try accumulate(try emit(.sumRows, [dy], node), into: x[1], node)
        case .softmax:
            try accumulate(try emit(.softmaxGradient, [dy, y[0]], node), into: x[0], node)

        case .scaleChannels:
            try accumulate(try emit(.scaleChannels, [dy, x[1]], node), into: x[0], node)
            try accumulate(try emit(.channelDot, [dy, x[0]], node), into: x[1], node)
        case .concatenate:
            var start = 0
            for branch in x {
                let count = graph.shape(branch)[1]
                if active.contains(branch) {
                    let op = Op.slice(start: start, count: count)
                    try accumulate(try emit(op, [dy], node), into: branch, node)
                }
                start += count
            }
        case .slice(let start, let count):
            let all = graph.shape(x[0])
            let op = Op.subsamplePad(stride: 1, before: start, after: all[1] - start - count)
            try accumulate(try emit(op, [dy], node), into: x[0], node)
        case .subsamplePad(let stride, let before, _):
            let op = Op.subsamplePadGradient(
                stride: stride, before: before, input: graph.shape(x[0]))
            try accumulate(try emit(op, [dy], node), into: x[0], node)
        case .flatten:
            let op = Op.unflatten(graph.shape(x[0]))
            try accumulate(try emit(op, [dy], node), into: x[0], node)
        case .unflatten:
            try accumulate(try emit(.flatten, [dy], node), into: x[0], node)

        case .crossEntropy(let smoothing):
            let op = Op.crossEntropyGradient(smoothing: smoothing)
            try accumulate(try emit(op, [y[1], x[1], dy], node), into: x[0], node)

        case .channelMoments, .joinVectors, .movingAverage, .sumRows, .channelDot, .reorder,
            .convert, .convolutionInputGradient, .convolutionWeightGradient,
            .normalizedConvolution, .convolutionOfNormalized, .weightGradientOfNormalized,
            .batchNormGradient, .excitationSums, .excitedNormGradient,
            .activationGradient,
            .maxPoolGradient, .averagePoolGradient, .globalAveragePoolGradient, .softmaxGradient,
            .subsamplePadGradient, .crossEntropyGradient, .scaleWeights:
            throw GraphError(
                path: node.path, problem: "\(node.op) has no gradient", shapes: [])
        }
    }

    private mutating func normalization(
        _ n: Normalization, _ node: Node, _ x: [ValueID], mean: ValueID, variance: ValueID,
        frozen: Bool, _ dy: ValueID
    ) throws(GraphError) {
        let saved = n.activation == nil ? [] : [n.addsResidual ? signs(of: node) : x[2]]
        let results = try graph.append(
            .batchNormGradient(n, frozen: frozen), [x[0], dy, x[1], mean, variance] + saved,
            path: node.path)
        for (gradient, value) in zip(results, x[0...2]) {
            try accumulate(gradient, into: value, node)
        }
        if n.addsResidual { try accumulate(results[3], into: x[x.count - 1], node) }
    }

    /// Lets the normalization say where its result is positive, after its other results.
    private mutating func signs(of node: Node) -> ValueID {
        let signs = graph.newValue(graph.shape(node.outputs[0]))
        for (index, other) in graph.nodes.enumerated() where other.outputs == node.outputs {
            switch node.op {
            case .batchNorm(var n):
                n.savesSigns = true
                graph.nodes[index].op = .batchNorm(n)
            case .normalize(var n):
                n.savesSigns = true
                graph.nodes[index].op = .normalize(n)
            default:
                preconditionFailure("\(node.path): \(node.op) is no normalization")
            }
            graph.nodes[index].outputs.append(signs)
        }
        return signs
    }
}
