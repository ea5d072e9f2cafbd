import ApusTensor

extension Network {
    /// The graph of the network in use that ends in what the layers at `paths` make, each an output
    /// of that name; `logits` means the network's own output.
    ///
    /// Throws a `GraphError` for a path that no layer has.
    public func features(at paths: [String], batch: Int = 1) throws(GraphError) -> Graph {
        var builder = GraphBuilder(mode: .inference)
        let logits = try lower(into: &builder, batch: batch)
        for path in paths {
            guard let value = path == "logits" ? logits : builder.layers[path] else {
                throw GraphError(
                    path: path,
                    problem: "is not in \(name); `apus models` with its name lists the layers",
                    shapes: [])
            }
            builder.output(path, value)
        }
        return builder.graph
    }

    /// Paths of the stages: the sequences of blocks that the network consists of, apart from its stem,
    /// transitions and head. They stand at the top, or inside a first sequence `features`.
    public var stages: [String] {
        var trunk = layers
        var parent = ""
        if case .sequence(let sequence)? = layers.first, sequence.name == "features" {
            trunk = sequence.layers
            parent = "features"
        }
        return trunk.enumerated().compactMap { index, layer in
            guard case .sequence(let sequence) = layer, !sequence.layers.isEmpty,
                sequence.layers.allSatisfy(\.isContainer)
            else { return nil }
            return layer.path(at: index, in: parent)
        }
    }

    /// Paths of the last stage of every size: with strides 4, 8, 16 and 32 what detectors call C2 to
    /// C5 (Lin et al.: "Feature Pyramid Networks", 2017), on small images three or four finer ones.
    /// A stem's own resolution is left out where more than four sizes remain.
    public func pyramid() throws(GraphError) -> [String] {
        let stages = stages
        let graph = try features(at: stages)
        var levels: [(size: [Int], path: String)] = []
        for path in stages {
            guard let value = graph.outputs[path] else { continue }
            let size = Array(graph.shape(value).dimensions.dropFirst(2))
            if levels.last?.size == size { levels.removeLast() }
            levels.append((size, path))
        }
        guard !levels.isEmpty else {
            throw GraphError(
                path: "", problem: "\(name) has no stages to make a pyramid of", shapes: [input])
        }
        return levels.suffix(4).map(\.path)
    }

    /// The names of all parameters by the part of the network they belong to, from the image on: the
    /// stem, the stages, each with the transition behind it, and the head, which is the last dense
    /// layer.
    public func parts() throws(GraphError) -> [[String]] {
        let graph = try graph(batch: 1, mode: .inference)
        let stages = stages
        let head = graph.parameters.lastIndex { $0.role == .weight } ?? 0
        var parts: [[String]] = [[]]
        var next = 0
        for parameter in graph.parameters[..<head] {
            if let index = stages[next...].firstIndex(where: {
                parameter.name.hasPrefix($0 + ".")
            }) {
                for _ in next...index { parts.append([]) }
                next = index + 1
            }
            parts[parts.count - 1].append(parameter.name)
        }
        return parts + [graph.parameters[head...].map(\.name)]
    }
}

extension Layer {
    fileprivate var isContainer: Bool {
        switch self {
        case .sequence, .residual, .concatenate, .scale: true
        default: false
        }
    }
}
