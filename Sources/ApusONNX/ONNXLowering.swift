import ApusGraph
import ApusTensor
import Foundation

/// Turns the nodes of a graph into ONNX nodes.
struct ONNXLowering {
    let graph: Graph
    private let consumers: [ValueID: [Int]]
    /// The names of values that have been written.
    private var names: [ValueID: String] = [:]
    private var taken: Set<String> = []
    private var nodes: [ONNXNodeProto] = []
    private var initializers: [ONNXTensorProto] = []
    /// Parameters and buffers by value, until they are needed.
    private var stored: [ValueID: String] = [:]
    /// Products that become one node with the bias added to them.
    private var pendingProducts: [ValueID: Node] = [:]

    init(_ graph: Graph) {
        self.graph = graph
        consumers = graph.consumers()
        for parameter in graph.parameters { stored[parameter.value] = parameter.name }
        for buffer in graph.buffers { stored[buffer.value] = buffer.name }
    }

    /// The whole graph; `weights` gives parameters and buffers by name.
    mutating func lower(
        name: String, weights: (String) -> Tensor?
    ) throws -> ONNXGraphProto {
        guard let images = graph.inputs["images"], graph.inputs.count == 1 else {
            throw ONNXError("only a network whose input is `images` alone can be exported")
        }
        let outputs = graph.outputs.sorted { $0.key < $1.key }
        names[images] = "images"
        taken.formUnion(["images"] + outputs.map(\.key))
        for (name, value) in outputs where value != images { names[value] = name }
        for node in graph.nodes { try lower(node, weights) }
        for (name, value) in outputs where names[value] != name {
            // One value under two names, or an input that is an output.
            emit("Identity", [try self.name(value)], to: name, path: name)
        }
        return .with {
            $0.name = name
            $0.node = nodes
            $0.initializer = initializers
            $0.input = [.batched("images", graph.shape(images))]
            $0.output = outputs.map { .batched($0.key, graph.shape($0.value)) }
        }
    }

    private mutating func lower(_ node: Node, _ weights: (String) -> Tensor?) throws {
        switch node.op {
        case .input: break
        case .parameter, .buffer: break  // Stored where they are read, as folding changes them.

        case .convolution(let window, let groups):
            try emit(
                "Conv", node.inputs, node, weights,
                window.attributes(dilations: true) + [.int("group", groups)])
        case .normalizedConvolution(let window, let groups, let n):
            let folded = try folded(node, epsilon: n.epsilon, weights)
            let y = emit(
                "Conv", [try name(node.inputs[0]), folded.weight, folded.bias],
                to: isPlain(n) ? target(node) : fresh(node.path), path: node.path,
                window.attributes(dilations: true) + [.int("group", groups)])
            try finish(y, n, residual: node.inputs.last, node)
        case .normalize(let n):
            for value in node.inputs[1...4] { try store(value, weights, node) }
            let y = emit(
                "BatchNormalization", try node.inputs[0...4].map(name),
                to: isPlain(n) ? target(node) : fresh(node.path), path: node.path,
                [.float("epsilon", n.epsilon)])
            try finish(y, n, residual: node.inputs.last, node)

        case .activation(let function):
            activate(try name(node.inputs[0]), function, to: target(node), path: node.path)
        case .add: try emit("Add", node.inputs, node, weights)
        case .maxPool(let window):
            try emit("MaxPool", node.inputs, node, weights, window.attributes(dilations: true))
        case .averagePool(let window, let includesPadding):
            guard window.dilation == Size(1) else {
                throw unsupported(node, "ONNX cannot dilate an average pool in this operator set")
            }
            try emit(
                "AveragePool", node.inputs, node, weights,
                window.attributes(dilations: false)
                    + [.int("count_include_pad", includesPadding ? 1 : 0)])
        case .globalAveragePool: try emit("GlobalAveragePool", node.inputs, node, weights)

        case .matmul(let a, let b):
            let product = node.outputs[0]
            if let readers = consumers[product], readers.count == 1,
                !graph.roots.contains(product), graph.nodes[readers[0]].op == .addBias
            {
                pendingProducts[product] = node
            } else {
                try emit("Gemm", node.inputs, node, weights, transposes(a, b))
            }
        case .addBias:
            if let product = pendingProducts[node.inputs[0]],
                case .matmul(let a, let b) = product.op
            {
                try emit(
                    "Gemm", product.inputs + [node.inputs[1]], node, weights, transposes(a, b))
            } else {
                try emit("Add", node.inputs, node, weights)
            }
        case .softmax: try emit("Softmax", node.inputs, node, weights, [.int("axis", 1)])

        case .scaleChannels: try emit("Mul", node.inputs, node, weights)
        case .concatenate: try emit("Concat", node.inputs, node, weights, [.int("axis", 1)])
        case .slice(let start, let count):
            slice(
                try name(node.inputs[0]), starts: [start], ends: [start + count], axes: [1],
                steps: [1], to: target(node), path: node.path)
        case .subsamplePad(let stride, let before, let after):
            // Always both, so that the shortcut is easy to find in the file.
            let subsampled = fresh(node.path)
            slice(
                try name(node.inputs[0]), starts: [0, 0], ends: [.max, .max], axes: [2, 3],
                steps: [stride, stride], to: subsampled, path: node.path)
            let pads = constant(
                node.path, integers: [0, before, 0, 0, 0, after, 0, 0].map(Int64.init))
            emit("Pad", [subsampled, pads], to: target(node), path: node.path)
        case .flatten: try emit("Flatten", node.inputs, node, weights, [.int("axis", 1)])
        case .unflatten(let shape):
            // 0 keeps the batch.
            let sizes = constant(
                node.path, integers: [0] + shape.dimensions.dropFirst().map(Int64.init))
            emit(
                "Reshape", [try name(node.inputs[0]), sizes], to: target(node), path: node.path)

        case .batchNorm, .movingAverage, .dropout, .stochasticDepth, .crossEntropy,
            .convolutionInputGradient, .convolutionWeightGradient, .batchNormGradient,
            .excitationSums, .excitedNormGradient, .activationGradient, .maxPoolGradient,
            .averagePoolGradient,
            .globalAveragePoolGradient, .softmaxGradient, .subsamplePadGradient,
            .crossEntropyGradient, .sumRows, .channelDot, .constant:
            throw unsupported(node, "it is part of training; export a graph for use after it")
        case .reorder, .convert, .channelMoments, .joinVectors, .scaleWeights,
            .convolutionOfNormalized, .weightGradientOfNormalized:
            throw unsupported(node, "it is part of a compiled program; export the network's graph")
        }
    }

    private func unsupported(_ node: Node, _ reason: String) -> ONNXError {
        ONNXError("\(node.path): \(node.op) has no place in an ONNX file: \(reason)")
    }

    private func transposes(_ a: Bool, _ b: Bool) -> [ONNXAttributeProto] {
        [.int("transA", a ? 1 : 0), .int("transB", b ? 1 : 0)]
    }

    private func isPlain(_ n: Normalization) -> Bool { !n.addsResidual && n.activation == nil }

    /// What a normalization does after normalizing.
    private mutating func finish(
        _ y: String, _ n: Normalization, residual: ValueID?, _ node: Node
    ) throws {
        var y = y
        if n.addsResidual, let residual {
            let sum = n.activation == nil ? target(node) : fresh(node.path)
            y = emit("Add", [y, try name(residual)], to: sum, path: node.path)
        }
        if let function = n.activation { activate(y, function, to: target(node), path: node.path) }
    }

    /// The weights and bias of a convolution that normalizes: w * gamma / sqrt(variance + epsilon),
    /// beta - mean * gamma / sqrt(variance + epsilon).
    private mutating func folded(
        _ node: Node, epsilon: Float, _ weights: (String) -> Tensor?
    ) throws -> (weight: String, bias: String) {
        let operands = try node.inputs[1...5].map { try tensor($0, weights, node) }
        var weight = operands[0]
        let channels = weight.shape[0]
        let size = weight.shape.count / max(channels, 1)
        var bias = Tensor([channels])
        for channel in 0..<channels {
            let scale =
                Double(operands[1].elements[channel])
                / (Double(operands[4].elements[channel]) + Double(epsilon)).squareRoot()
            for index in channel * size..<(channel + 1) * size {
                weight.elements[index] = Float(Double(weight.elements[index]) * scale).normal
            }
            let shift = scale * Double(operands[3].elements[channel])
            bias.elements[channel] = Float(Double(operands[2].elements[channel]) - shift).normal
        }
        let name = stored[node.inputs[1]] ?? node.path
        initializers.append(.floats(name, weight))
        let biasName = node.path + ".folded_bias"
        initializers.append(.floats(biasName, bias))
        return (name, biasName)
    }
}

extension ONNXLowering {
    /// Appends a node that reads `inputs`, storing those that are weights, and writes the node's
    /// output.
    private mutating func emit(
        _ kind: String, _ inputs: [ValueID], _ node: Node, _ weights: (String) -> Tensor?,
        _ attributes: [ONNXAttributeProto] = []
    ) throws {
        for input in inputs { try store(input, weights, node) }
        emit(kind, try inputs.map(name), to: target(node), path: node.path, attributes)
    }

    /// Appends a node with one output, whose name it returns.
    @discardableResult
    mutating func emit(
        _ kind: String, _ inputs: [String], to output: String, path: String,
        _ attributes: [ONNXAttributeProto] = []
    ) -> String {
        nodes.append(
            .with {
                $0.opType = kind
                $0.name = "\(path)/\(kind)#\(nodes.count)"
                $0.input = inputs
                $0.output = [output]
                $0.attribute = attributes
            })
        return output
    }

    private mutating func slice(
        _ x: String, starts: [Int], ends: [Int], axes: [Int], steps: [Int], to output: String,
        path: String
    ) {
        let operands = [starts, ends, axes, steps].map {
            constant(path, integers: $0.map(Int64.init))
        }
        emit("Slice", [x] + operands, to: output, path: path)
    }

    /// The name of a new initializer for a node's operand.
    mutating func constant(_ path: String, integers: [Int64]) -> String {
        let name = fresh(path)
        initializers.append(.integers(name, integers))
        return name
    }

    /// The name of a new scalar.
    mutating func constant(_ path: String, _ value: Float) -> String {
        let name = fresh(path)
        initializers.append(.floats(name, Tensor([], [value])))
        return name
    }

    /// A name that no value has, which tells of the layer.
    mutating func fresh(_ path: String) -> String {
        var name = path.isEmpty ? "value" : path
        var count = 1
        while !taken.insert("\(name):\(count)").inserted { count += 1 }
        name += ":\(count)"
        return name
    }

    /// The name of what a node writes.
    private mutating func target(_ node: Node) -> String {
        let value = node.outputs[0]
        if let name = names[value] { return name }
        let name = fresh(node.path)
        names[value] = name
        return name
    }

    private func name(_ value: ValueID) throws -> String {
        guard let name = names[value] else {
            throw ONNXError("\(value) is read before it is written; the graph is damaged")
        }
        return name
    }

    /// Makes an initializer of a parameter or buffer, once.
    private mutating func store(
        _ value: ValueID, _ weights: (String) -> Tensor?, _ node: Node
    ) throws {
        guard names[value] == nil, let name = stored[value] else { return }
        initializers.append(.floats(name, try tensor(value, weights, node)))
        names[value] = name
        taken.insert(name)
    }

    private func tensor(
        _ value: ValueID, _ weights: (String) -> Tensor?, _ node: Node
    ) throws -> Tensor {
        guard let name = stored[value], let tensor = weights(name),
            tensor.shape == graph.shape(value)
        else {
            throw ONNXError(
                "\(node.path): \(stored[value] ?? "\(value)") has no values of shape "
                    + "\(graph.shape(value)); give the weights of this network")
        }
        return tensor
    }
}

extension Float {
    /// Zero instead of a denormal number, with which processors are 40 to 100 times slower.
    fileprivate var normal: Float { isSubnormal ? 0 : self }
}
