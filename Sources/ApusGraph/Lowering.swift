import ApusTensor

extension GraphBuilder {
    /// Appends a layer and everything in it. Children of a container are named by their own name, or
    /// by their position, below the container's path; an empty name adds nothing to the path.
    public mutating func append(
        _ layer: Layer, to x: ValueID, path: String
    ) throws(GraphError) -> ValueID {
        let value = try lower(layer, x, path)
        layers[path] = value
        return value
    }

    private mutating func lower(
        _ layer: Layer, _ x: ValueID, _ path: String
    ) throws(GraphError) -> ValueID {
        switch layer {
        case .convolution(let layer):
            return try convolution(x, layer, path: path)
        case .batchNorm(let layer):
            return try batchNorm(x, layer, path: path)
        case .dense(let layer):
            return try dense(x, layer, path: path)
        case .activation(let function):
            return try append(.activation(function), [x], path: path)[0]
        case .softmax:
            return try append(.softmax, [x], path: path)[0]
        case .maxPool(let layer):
            let window = try window(
                x, layer.kernel, layer.stride, Size(1), layer.padding, path)
            return try append(.maxPool(window), [x], path: path)[0]
        case .averagePool(let layer):
            let window = try window(
                x, layer.kernel, layer.stride, Size(1), layer.padding, path)
            return try append(
                .averagePool(window, includesPadding: layer.includesPadding), [x], path: path)[0]
        case .globalAveragePool:
            return try append(.globalAveragePool, [x], path: path)[0]
        case .flatten:
            return try append(.flatten, [x], path: path)[0]
        case .identity:
            return x
        case .dropout(let layer):
            try requireRate(layer.rate, path)
            guard mode == .training, layer.rate > 0 else { return x }
            let key = RandomKey.hash(path)
            return try append(.dropout(rate: layer.rate, key: key), [x], path: path)[0]
        case .stochasticDepth(let layer):
            try requireRate(layer.rate, path)
            guard mode == .training, layer.rate > 0 else { return x }
            let key = RandomKey.hash(path)
            return try append(.stochasticDepth(rate: layer.rate, key: key), [x], path: path)[0]
        case .subsamplePad(let layer):
            let input = shape(x)
            let extra = layer.channels - (input.rank == 4 ? input[1] : 0)
            let op = Op.subsamplePad(
                stride: layer.stride, before: extra / 2, after: extra - extra / 2)
            return try append(op, [x], path: path)[0]
        case .sequence(let sequence):
            return try append(sequence.layers, to: x, path: path)
        case .residual(let residual):
            let body = try append(residual.body, to: x, path: path)
            let shortcut = try append(
                residual.shortcut, to: x, path: path, firstIndex: residual.body.count)
            guard shape(body) == shape(shortcut) else {
                throw GraphError(
                    path: path, problem: "the body and the shortcut of the residual differ",
                    shapes: [shape(body), shape(shortcut)])
            }
            return try append(.add, [body, shortcut], path: path)[0]
        case .concatenate(let layer):
            var branches: [ValueID] = []
            for (index, branch) in layer.branches.enumerated() {
                branches.append(
                    try append(branch, to: x, path: branch.path(at: index, in: path)))
            }
            return try append(.concatenate, branches, path: path)[0]
        case .scale(let scale):
            let factors = try append(scale.body, to: x, path: path)
            return try append(.scaleChannels, [x, factors], path: path)[0]
        }
    }

    /// Appends layers one after the other.
    public mutating func append(
        _ layers: [Layer], to x: ValueID, path: String = "", firstIndex: Int = 0
    ) throws(GraphError) -> ValueID {
        var value = x
        for (index, layer) in layers.enumerated() {
            value = try append(layer, to: value, path: layer.path(at: firstIndex + index, in: path))
        }
        return value
    }

    private func requireRate(_ rate: Float, _ path: String) throws(GraphError) {
        guard (0..<1).contains(rate) else {
            throw GraphError(
                path: path, problem: "a drop rate of \(rate) is not in 0..<1", shapes: [])
        }
    }
}

extension Layer {
    /// The path of the layer as the child number `index` of the container at `parent`.
    package func path(at index: Int, in parent: String) -> String {
        let own = name ?? "\(index)"
        return parent.isEmpty || own.isEmpty ? parent + own : parent + "." + own
    }
}
