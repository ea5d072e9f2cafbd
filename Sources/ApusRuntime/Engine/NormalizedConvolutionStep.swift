import ApusGraph
import ApusTensor

extension StepBuilder {
    /// A convolution whose weights are scaled by gamma / deviation and whose bias is
    /// beta - mean * gamma / deviation, added to the residual where there is one.
    func normalizedConvolution(
        _ node: Node, _ window: Window, _ groups: Int, _ n: Normalization
    ) throws -> any Step {
        let weightShape = shape(node.inputs[1])
        let channels = weightShape[0]
        let parameters = node.inputs[1...5].map(pointer)
        let (weights, gamma, beta) = (parameters[0], parameters[1], parameters[2])
        let (mean, variance) = (parameters[3], parameters[4])
        let computesWeights = program.bindings[node.inputs[1]] == nil
        let output = memory(node.outputs[0])
        let bias = Arena(count: channels)
        let perChannel = weightShape.count / channels
        let problem = ConvolutionProblem(
            pass: .forward, inference: true, input: shape(node.inputs[0]), weights: weightShape,
            output: shape(node.outputs[0]), window: window, groups: groups, bias: true,
            adds: n.addsResidual, activation: n.activation, inputLayout: layout(node.inputs[0]),
            outputLayout: layout(node.outputs[0]), type: type(node.inputs[0]))
        func step(_ folded: Arena) throws -> any Step {
            let operands = ConvolutionStep.Operands(
                input: memory(node.inputs[0]), weights: folded.base, bias: bias.base,
                output: output, computesWeights: computesWeights)
            return try fastest(node, problem, operands, fold: { fold(folded) })
        }
        func fold(_ folded: Arena) {
            for channel in 0..<channels {
                let deviation = (variance[channel] + n.epsilon).squareRoot()
                let scale = gamma[channel] / deviation
                bias.base[channel] = beta[channel] - mean[channel] * scale
                for i in channel * perChannel..<(channel + 1) * perChannel {
                    folded.base[i] = weights[i] * scale
                }
            }
        }
        // Most steps convert the folded weights at once; the others need them for themselves.
        var convolution = try step(folding)
        if convolution.convertedCount == 0 {
            convolution = try step(Arena(count: weightShape.count))
        }
        guard n.addsResidual, memory(node.inputs[6]) != output else { return convolution }
        return CopyFirst(
            convolution, from: memory(node.inputs[6]), to: output,
            byteCount: graph.storageBytes(node.outputs[0]), team)
    }
}
