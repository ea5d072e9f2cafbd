import ApusGraph
import ApusTensor

/// The geometry of a convolution in one pass: what the tuner's choice depends on.
struct ConvolutionProblem: Hashable {
    enum Pass: String, Hashable { case forward, inputGradient, weightGradient }

    var pass: Pass
    var inference: Bool
    var input: Shape
    var weights: Shape
    var output: Shape
    var window: Window
    var groups: Int
    var bias: Bool
    /// The result is added to what is there: the output or, of an input gradient, the input.
    var adds = false
    /// The input is normalized on the way, and may be the first channels of a wider image.
    var normalizes = false
    /// Applied last.
    var activation: ActivationFunction?
    /// Whether max(0, .) is applied last.
    var rectifies: Bool { activation == .relu }
    var inputLayout: Layout
    var outputLayout: Layout
    /// Of the images; weights are multiplied in the same type and stored in 32 bits.
    var type: DataType

    /// Multiply-adds.
    var multiplyAdds: Int { output.count * weights.count / weights[0] }

    /// Multiplies and adds of direct sums, at least: products with padding need not be made.
    var fewestOperations: Int {
        2 * output[0] * output[1] * weights[1] * window.products(of: Size(input[2], input[3]))
    }

    /// Winograd's transforms round worse than a direct sum, so they have no say where a problem takes
    /// a fraction of a millisecond anyway. Other sums are as exact whoever makes them.
    var isWorthTiming: Bool {
        let isInexact = [Size(3), Size(7)].contains(window.kernel) && groups == 1
        return multiplyAdds >= 1 << (inference && !isInexact ? 20 : 25)
    }

    /// Names the problem in the tuner's cache.
    var key: String {
        let p = window.padding
        let w = window
        return
            "\(pass.rawValue)\(inference ? "-inference" : "") \(type == .float32 ? "fp32" : "bf16") \(input) \(inputLayout) "
            + "\(weights) g\(groups)\(bias ? " bias" : "")"
            + "\(normalizes ? " normalized" : "")\(adds ? " sum" : "")\(activation.map { " \($0)" } ?? "") "
            + "s\(w.stride.height),\(w.stride.width) d\(w.dilation.height),\(w.dilation.width) "
            + "p\(p.top),\(p.left),\(p.bottom),\(p.right) \(outputLayout)"
    }
}

extension Size {
    var isSquare: Bool { height == width }
}
