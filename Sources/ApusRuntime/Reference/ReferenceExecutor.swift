import ApusGraph
import ApusTensor

/// Computes every value of a graph in plain Swift with 64-bit floats: the oracle that the engine
/// and the gradients are checked against. It is written to be obviously right, never to be fast.
///
/// It takes any graph, before or after fusion and layout. Layouts are ignored: every array is
/// row-major over the logical shape, so a `reorder` copies. Values that the graph stores in brain
/// floats are rounded to them, and so are the weights that such images are multiplied with.
public struct ReferenceExecutor: Sendable {
    public let graph: Graph

    public init(_ graph: Graph) { self.graph = graph }

    /// Runs all nodes in order and returns every value.
    ///
    /// `sources` holds each input, parameter and buffer; a missing one, or one of the wrong number
    /// of elements, is a programming error. `randomKey` draws the masks of dropout and of
    /// stochastic depth.
    public func run(
        _ sources: [ValueID: [Double]], randomKey: RandomKey = RandomKey(seed: 0)
    ) -> [ValueID: [Double]] {
        var values: [ValueID: ReferenceTensor] = [:]
        for node in graph.nodes {
            var inputs = node.inputs.map { input -> ReferenceTensor in
                guard let value = values[input] else {
                    preconditionFailure("\(node.path): \(input) is read before it is written")
                }
                return value
            }
            if multipliesBrainFloats(node) { inputs[1].roundToBrainFloats() }
            let results =
                node.inputs.isEmpty
                ? [source(node, sources)] : evaluate(node, inputs, randomKey)
            precondition(
                results.map(\.shape) == node.outputs.map { graph.shape($0) },
                "\(node.path): \(node.op) does not have the inferred shapes")
            for (output, result) in zip(node.outputs, results) {
                values[output] = result
                if graph.type(output) == .bfloat16 { values[output]?.roundToBrainFloats() }
            }
        }
        return values.mapValues(\.elements)
    }

    /// Whether operand 1 is weights that are rounded before they are multiplied with images.
    private func multipliesBrainFloats(_ node: Node) -> Bool {
        switch node.op {
        case .convolution, .convolutionInputGradient: graph.type(node.inputs[0]) == .bfloat16
        default: false
        }
    }

    private func source(_ node: Node, _ sources: [ValueID: [Double]]) -> ReferenceTensor {
        let value = node.outputs[0]
        let shape = graph.shape(value)
        if case .constant(let number) = node.op {
            return ReferenceTensor(shape, repeating: Double(number))
        }
        guard let elements = sources[value] else {
            preconditionFailure("\(node.path): no values given for this \(node.op)")
        }
        precondition(
            elements.count == shape.count,
            "\(node.path): \(elements.count) values given for \(shape)")
        return ReferenceTensor(shape, elements)
    }

    /// The outputs of one node that is not a source.
    private func evaluate(
        _ node: Node, _ x: [ReferenceTensor], _ randomKey: RandomKey
    ) -> [ReferenceTensor] {
        let shape = graph.shape(node.outputs[0])
        switch node.op {
        case .input, .parameter, .buffer, .constant:
            preconditionFailure("\(node.path): a source has no inputs")

        case .convolution(let window, let groups):
            let bias = x.count == 3 ? x[2] : nil
            return [Self.convolution(x[0], x[1], bias, window, groups, output: shape)]
        case .convolutionInputGradient(let window, let groups, let input):
            let dx = Self.convolutionInputGradient(x[0], x[1], window, groups, input: input)
            guard x.count > 2 else { return [dx] }
            return [Self.combine(dx, x.count > 3 ? Self.combine(x[2], x[3], *) : x[2], +)]
        case .convolutionWeightGradient(let window, let groups, let bias):
            let dw = Self.convolutionWeightGradient(x[0], x[1], window, groups, weights: shape)
            return bias ? [dw, Self.channelSums(x[1])] : [dw]

        case .batchNorm(let n):
            let (mean, variance) = Self.moments(x[0])
            let y = Self.result(
                n, x[0], gamma: x[1], beta: x[2], mean: mean, variance: variance,
                residual: Self.residual(n, x.dropFirst(3)), shape)
            return [y, mean, variance] + Self.furtherResults(n, y)
        case .normalize(let n):
            let y = Self.result(
                n, x[0], gamma: x[1], beta: x[2], mean: x[3], variance: x[4],
                residual: Self.residual(n, x.dropFirst(5)), shape)
            return [y] + Self.furtherResults(n, y)
        case .normalizedConvolution(let window, let groups, let n):
            let y = Self.convolution(x[0], x[1], nil, window, groups, output: shape)
            return [
                Self.normalize(
                    n, y, gamma: x[2], beta: x[3], mean: x[4], variance: x[5],
                    residual: n.addsResidual ? x[6] : nil)
            ]
        case .convolutionOfNormalized(let window, let n):
            let z = Self.normalize(
                n, x[0], gamma: x[2], beta: x[3], mean: x[4], variance: x[5], residual: nil)
            return [Self.convolution(z, x[1], nil, window, 1, output: shape)]
        case .weightGradientOfNormalized(let window, let n):
            let z = Self.normalize(
                n, x[0], gamma: x[2], beta: x[3], mean: x[4], variance: x[5], residual: nil)
            return [Self.convolutionWeightGradient(z, x[1], window, 1, weights: shape)]
        case .batchNormGradient(let n, let frozen):
            let dy = n.sumsGradients ? Self.combine(x[1], x[n.secondGradientOperand], +) : x[1]
            var gradient = Self.normalizationGradient(
                n, frozen: frozen, x[0], dy: dy, gamma: x[2], mean: x[3], variance: x[4],
                saved: n.activation == nil ? nil : x[5])
            if n.accumulates { gradient.dx = Self.combine(gradient.dx, x[n.baseOperand], +) }
            let all = [gradient.dx, gradient.dgamma, gradient.dbeta]
            return n.addsResidual && !n.leavesResidual ? all + [gradient.dresidual] : all
        case .excitationSums(let n):
            return Self.excitationSums(
                n, x[0], dz: x[1], gamma: x[2], beta: x[3], mean: x[4], variance: x[5])
        case .excitedNormGradient(let n, let frozen):
            let gated = Self.scaleChannels(x[1], x[6])
            let pooled = Self.globalAveragePoolGradient(x[7], input: x[0].shape)
            let gradient = Self.normalizationGradient(
                n, frozen: frozen, x[0], dy: Self.combine(gated, pooled, +), gamma: x[2],
                mean: x[3], variance: x[4], saved: x[5])
            return [gradient.dx, gradient.dgamma, gradient.dbeta]
        case .channelMoments:
            let (mean, variance) = Self.moments(x[0])
            return [mean, variance]
        case .joinVectors:
            return [ReferenceTensor(shape, x[0].elements + x[1].elements)]
        case .movingAverage(let momentum, let correction):
            let m = Double(momentum)
            let c = Double(correction)
            return [Self.combine(x[0], x[1]) { old, new in (1 - m) * old + m * c * new }]

        case .activation(let function):
            return [Self.map(x[0]) { Self.activation(function, $0) }]
        case .activationGradient(let function):
            return [
                Self.combine(x[0], x[1]) { dy, saved in
                    dy * Self.derivative(function, saved: saved)
                }
            ]
        case .add:
            return [Self.combine(x[0], x[1], +)]
        case .dropout(let rate, let key):
            return [Self.dropout(x[0], rate, key, randomKey)]
        case .stochasticDepth(let rate, let key):
            return [Self.stochasticDepth(x[0], rate, key, randomKey)]

        case .maxPool(let window):
            return [Self.maxPool(x[0], window, output: shape)]
        case .maxPoolGradient(let window):
            return [Self.maxPoolGradient(x[0], dy: x[1], window)]
        case .averagePool(let window, let includesPadding):
            return [Self.averagePool(x[0], window, includesPadding, output: shape)]
        case .averagePoolGradient(let window, let includesPadding, let input):
            return [Self.averagePoolGradient(x[0], window, includesPadding, input: input)]
        case .globalAveragePool:
            return [Self.globalAveragePool(x[0])]
        case .globalAveragePoolGradient(let input):
            return [Self.globalAveragePoolGradient(x[0], input: input)]

        case .matmul(let transposeA, let transposeB):
            return [Self.matmul(x[0], transposeA, x[1], transposeB)]
        case .addBias:
            return [Self.addBias(x[0], x[1])]
        case .sumRows:
            return [Self.sumRows(x[0])]
        case .softmax:
            return [Self.softmax(x[0])]
        case .softmaxGradient:
            return [Self.softmaxGradient(x[0], y: x[1])]

        case .scaleChannels:
            return [Self.scaleChannels(x[0], x[1])]
        case .scaleWeights:
            return [Self.scaleWeights(x[0], x[1])]
        case .channelDot:
            return [Self.channelDot(x[0], x[1])]
        case .concatenate:
            return [Self.concatenate(x, output: shape)]
        case .slice(let start, let count):
            return [Self.slice(x[0], start, count)]
        case .subsamplePad(let stride, let before, _):
            return [Self.subsamplePad(x[0], stride, before, output: shape)]
        case .subsamplePadGradient(let stride, let before, let input):
            return [Self.subsamplePadGradient(x[0], stride, before, input: input)]
        case .flatten, .unflatten:
            return [ReferenceTensor(shape, x[0].elements)]

        case .crossEntropy(let smoothing):
            let (loss, probabilities) = Self.crossEntropy(x[0], labels: x[1], smoothing)
            return [loss, probabilities]
        case .crossEntropyGradient(let smoothing):
            return [Self.crossEntropyGradient(x[0], labels: x[1], dloss: x[2], smoothing)]

        case .reorder, .convert:
            return [x[0]]
        }
    }
}
