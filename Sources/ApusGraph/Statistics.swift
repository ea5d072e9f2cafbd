import ApusTensor

/// What a network costs, read off its graph: no weights are allocated.
public struct Statistics: Hashable, Sendable {
    /// One line of the table: a layer that computes.
    public struct Row: Hashable, Sendable {
        public let path: String
        public let operation: String
        public let output: Shape
        public let parameters: Int
        /// Multiply-adds of convolutions and matrix products.
        public let multiplyAdds: Int
        /// Bytes of the output in 32-bit floats.
        public let activationBytes: Int
        /// Height and width of the input region one output pixel sees; nil after global pooling,
        /// where it is the whole image.
        public let receptiveField: Size?
    }

    public let rows: [Row]
    /// Trainable numbers.
    public let parameters: Int
    /// Multiply-adds of one forward pass over the graph's batch.
    public let multiplyAdds: Int
    /// Bytes of all layer outputs together in 32-bit floats.
    public let activationBytes: Int

    public init(_ graph: Graph) {
        let sizes = Dictionary(
            uniqueKeysWithValues: graph.parameters.map { ($0.value, $0.shape.count) })
        var fields: [ValueID: ReceptiveField?] = [:]
        var rows: [Row] = []
        for node in graph.nodes {
            guard let output = node.outputs.first else { continue }
            if node.inputs.isEmpty {
                if node.op == .input { fields[output] = ReceptiveField() }
                continue
            }
            fields[output] = .some(ReceptiveField.after(node, fields))
            if case .movingAverage = node.op { continue }
            let shape = graph.shape(output)
            rows.append(
                Row(
                    path: node.path, operation: node.op.description, output: shape,
                    parameters: node.inputs.compactMap { sizes[$0] }.reduce(0, +),
                    multiplyAdds: graph.multiplyAdds(node),
                    activationBytes: shape.count * DataType.float32.byteCount,
                    receptiveField: (fields[output] ?? nil)?.size))
        }
        self.rows = rows
        parameters = graph.parameters.map(\.shape.count).reduce(0, +)
        multiplyAdds = rows.map(\.multiplyAdds).reduce(0, +)
        activationBytes = rows.map(\.activationBytes).reduce(0, +)
    }
}

/// The input region one output pixel sees, and the distance between neighbours' regions.
private struct ReceptiveField {
    var size = Size(1)
    var jump = Size(1)

    func sliding(_ window: Window) -> ReceptiveField {
        ReceptiveField(
            size: Size(
                size.height + (window.extent.height - 1) * jump.height,
                size.width + (window.extent.width - 1) * jump.width),
            jump: Size(jump.height * window.stride.height, jump.width * window.stride.width))
    }

    static func after(_ node: Node, _ fields: [ValueID: ReceptiveField?]) -> ReceptiveField? {
        // Parameters have no entry; an entry of nil has seen the whole image.
        let known = node.inputs.compactMap { fields[$0] }
        guard let first = known.first, let first else { return nil }
        switch node.op {
        case .convolution(let window, _), .normalizedConvolution(let window, _, _),
            .convolutionOfNormalized(let window, _), .maxPool(let window),
            .averagePool(let window, _):
            return first.sliding(window)
        case .subsamplePad(let stride, _, _):
            return first.sliding(Window(kernel: Size(1), stride: Size(stride)))
        case .globalAveragePool, .flatten, .matmul:
            return nil
        default:
            let widest = known.compactMap(\.self).max { $0.size.count < $1.size.count }
            return known.contains { $0 == nil } ? nil : widest
        }
    }
}

extension Graph {
    /// Multiply-adds of a convolution, of its gradients, or of a matrix product; other operations
    /// count none, as usual. Winograd's algorithm needs fewer: they are those of the direct sum.
    public func multiplyAdds(_ node: Node) -> Int {
        let inputs = node.inputs.map { shape($0) }
        let output = shape(node.outputs[0])
        /// What every element of a convolution's output sums up.
        func terms(_ weights: Shape) -> Int { weights.count / max(weights[0], 1) }
        switch node.op {
        case .convolution, .normalizedConvolution, .convolutionOfNormalized:
            return output.count * terms(inputs[1])
        case .convolutionInputGradient:
            return inputs[0].count * terms(inputs[1])
        case .convolutionWeightGradient, .weightGradientOfNormalized:
            return inputs[1].count * terms(output)
        case .matmul(let transposeA, _):
            return output.count * (transposeA ? inputs[0][0] : inputs[0][1])
        default:
            return 0
        }
    }

    /// Bytes of everything a node reads and writes, each once: what it must move at least. Nothing of what is there
    /// already: inputs and parameters, what begins an image that is appended to or read in part.
    public func bytes(_ node: Node) -> Int {
        switch node.op {
        case .input, .parameter, .buffer:
            0
        case .slice(0, _) where sharesImage(node.inputs[0], node.outputs[0]):
            0
        case .concatenate where sharesImage(node.inputs[0], node.outputs[0]):
            2 * node.inputs.dropFirst().map { storageBytes($0) }.reduce(0, +)
        default:
            (node.inputs + node.outputs).map { storageBytes($0) }.reduce(0, +)
        }
    }
}
