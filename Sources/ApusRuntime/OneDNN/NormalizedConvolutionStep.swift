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
        let inputs = node.inputs.map(pointer)
        let output = pointer(node.outputs[0])
        let folded = Arena(count: weightShape.count)
        let bias = Arena(count: channels)
        let perChannel = weightShape.count / channels
        let fold = {
            for channel in 0..<channels {
                let deviation = (inputs[5][channel] + n.epsilon).squareRoot()
                let scale = inputs[2][channel] / deviation
                bias.base[channel] = inputs[3][channel] - inputs[4][channel] * scale
                for i in channel * perChannel..<(channel + 1) * perChannel {
                    folded.base[i] = inputs[1][i] * scale
                }
            }
        }
        let problem = ConvolutionProblem(
            pass: .forward, inference: true, input: shape(node.inputs[0]), weights: weightShape,
            output: shape(node.outputs[0]), window: window, groups: groups, bias: true,
            adds: n.addsResidual, rectifies: n.rectified, inputLayout: layout(node.inputs[0]),
            outputLayout: layout(node.outputs[0]))
        let operands = ConvolutionStep.Operands(
            input: inputs[0], weights: folded.base, bias: bias.base, output: output)
        let step = try fastest(problem, operands, fold: fold)
        guard n.addsResidual, inputs[6] != output else { return step }
        return CopyFirst(step, from: inputs[6], to: output, count: count(node.outputs[0]), team)
    }
}

/// Puts the residual where the convolution is added to it: the plan could not let them share.
private final class CopyFirst: Step {
    private let step: any Step
    private let copy: () -> Void

    init(
        _ step: any Step, from: UnsafeMutablePointer<Float>,
        to: UnsafeMutablePointer<Float>, count: Int, _ team: Team
    ) {
        self.step = step
        copy = {
            team.splitArray(count) { begin, end in
                (to + begin).update(from: from + begin, count: end - begin)
            }
        }
    }

    var implementation: String? { step.implementation }
    var scratchBytes: Int { step.scratchBytes }
    func bind(scratch: UnsafeMutableRawPointer) throws { try step.bind(scratch: scratch) }
    func run(_ context: RunContext) {
        copy()
        step.run(context)
    }
}
