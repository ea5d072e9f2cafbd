import ApusGraph
import ApusTensor
import CDNNL
import CKernels

/// One pass of a convolution. Weights live in the layout of files; where the algorithm wants
/// another, they are converted on the way in, and weight gradients on the way out.
final class ConvolutionStep: Step {
    let implementation: String?
    let primitives: [String]
    private let primitive: Primitive
    /// From the stored weights to the algorithm's, or from the algorithm's gradient to the stored.
    private let reorder: Primitive?
    /// The same for a gradient by our own kernel, from where the library left it.
    private let storeGradient: ((UnsafeMutableRawPointer) -> Void)?
    private let pass: ConvolutionProblem.Pass
    private let weights: Descriptor
    private let plainWeights: Descriptor
    private let weightPointer: UnsafeMutableRawPointer
    private let computesWeights: Bool
    private let weightArgument: Int32
    private let padding: WeightPadding?
    /// Inference keeps the converted weights and renews them when the parameters change.
    private let keepsWeights: Bool
    /// Where the converted weights lie, or the gradient that is.
    private var converted: UnsafeMutableRawPointer?
    private var cachedVersion = -1
    /// Renews the weights when the parameters have changed.
    private let fold: (() -> Void)?

    /// Where a convolution's operands lie: input, weights, bias and output, or their gradients.
    struct Operands {
        var input: UnsafeMutableRawPointer
        var weights: UnsafeMutablePointer<Float>
        var bias: UnsafeMutablePointer<Float>?
        var output: UnsafeMutableRawPointer
        /// Of an input gradient that is added to what is there: the bits of what it is added to.
        var signs: UnsafeMutableRawPointer?
        /// How the input is normalized, where the problem says so.
        var normalization: NormalizedInput?
        /// Whether the weights are results, others in every run.
        var computesWeights = false
    }

    /// Throws an `EngineError` if the library does not offer the algorithm for this problem.
    init(
        _ problem: ConvolutionProblem, _ algorithm: ConvolutionAlgorithm, _ operands: Operands,
        _ library: Library, _ team: Team, fold: (() -> Void)? = nil
    ) throws {
        guard let kind = algorithm.kind else {
            throw EngineError(description: "oneDNN has no algorithm \(algorithm.rawValue)")
        }
        precondition(
            !problem.normalizes && !(problem.adds && problem.pass == .inputGradient),
            "the library normalizes no input and adds an input gradient to nothing")
        self.fold = fold
        let w = problem.window
        let padding = WeightPadding(problem, operands.weights)
        let weightShape = padding?.shape ?? problem.weights
        let groups = padding?.groups ?? problem.groups
        var input = problem.input
        input.dimensions[1] = groups * weightShape[1]
        self.padding = padding
        computesWeights = operands.computesWeights
        let source = Descriptor.image(input, problem.inputLayout, problem.type)
        let target = Descriptor.image(problem.output, problem.outputLayout, problem.type)
        let free = Descriptor.freeWeights(weightShape, groups: groups, problem.type)
        // The gradient of weights is a sum over all pixels: it stays in 32 bits.
        let gradient = Descriptor.freeWeights(weightShape, groups: groups, .float32)
        let bias = problem.bias ? Descriptor([problem.weights[0]], dnnl_a) : nil
        pass = problem.pass
        var description: dnnl_primitive_desc_t?
        let status = apus_convolution_pd(
            &description, library.engine, problem.pass.shim, problem.inference, kind,
            source.handle, free.handle, gradient.handle, bias?.handle, target.handle,
            [Int64(w.stride.height), Int64(w.stride.width)],
            [Int64(w.dilation.height - 1), Int64(w.dilation.width - 1)],
            [Int64(w.padding.top), Int64(w.padding.left)],
            [Int64(w.padding.bottom), Int64(w.padding.right)], problem.adds,
            problem.activation.epilogue)
        try EngineError.check(status, "plan a convolution \(problem.key) by \(algorithm.rawValue)")
        guard let description else { throw EngineError(description: "oneDNN returned nothing") }
        primitive = try Primitive(description, library)
        implementation = primitive.implementation
        plainWeights = Descriptor.weights(weightShape, groups: groups)
        weightPointer = UnsafeMutableRawPointer(padding?.padded.base ?? operands.weights)

        switch problem.pass {
        case .forward:
            weights = try primitive.chosen(dnnl_query_weights_md)
            weightArgument = DNNL_ARG_WEIGHTS
            try primitive.set(DNNL_ARG_SRC, source, operands.input)
            try primitive.set(DNNL_ARG_DST, target, operands.output)
            if let bias, let pointer = operands.bias {
                try primitive.set(DNNL_ARG_BIAS, bias, pointer)
            }
        case .inputGradient:
            weights = try primitive.chosen(dnnl_query_weights_md)
            weightArgument = DNNL_ARG_WEIGHTS
            try primitive.set(DNNL_ARG_DIFF_SRC, source, operands.input)
            try primitive.set(DNNL_ARG_DIFF_DST, target, operands.output)
        case .weightGradient:
            weights = try primitive.chosen(dnnl_query_diff_weights_md)
            weightArgument = DNNL_ARG_DIFF_WEIGHTS
            try primitive.set(DNNL_ARG_SRC, source, operands.input)
            try primitive.set(DNNL_ARG_DIFF_DST, target, operands.output)
            if let bias, let pointer = operands.bias {
                try primitive.set(DNNL_ARG_DIFF_BIAS, bias, pointer)
            }
        }
        storeGradient =
            problem.pass == .weightGradient
            ? ConvolutionStep.storeGradient(weights, weightShape, groups, weightPointer, team) : nil
        if weights == plainWeights {
            reorder = nil
            try primitive.set(weightArgument, weights, weightPointer)
        } else if storeGradient != nil {
            reorder = nil
        } else if problem.pass == .weightGradient {
            reorder = try Primitive.reorder(library, from: weights, to: plainWeights)
        } else {
            reorder = try Primitive.reorder(library, from: plainWeights, to: weights)
        }
        keepsWeights = reorder != nil && problem.inference && problem.pass == .forward
        let name = "\(problem.key) \(algorithm.rawValue)"
        primitives = [name] + (reorder == nil ? [] : ["weights of \(name)"])
    }

    /// Stores a gradient of 1x1 weights, which the library takes several times as long for (2048 to 1024 channels: 3.0 and
    /// 0.5 ms). Nil where the layout is another one.
    private static func storeGradient(
        _ layout: Descriptor, _ shape: Shape, _ groups: Int, _ stored: UnsafeMutableRawPointer,
        _ team: Team
    ) -> ((UnsafeMutableRawPointer) -> Void)? {
        guard Machine.hasAVX512, groups == 1, shape[2] * shape[3] == 1, shape[0] % 16 == 0,
            shape[1] % 16 == 0, layout == Descriptor(shape.dimensions, dnnl_OIhw16i16o)
        else { return nil }
        let stored = stored.assumingMemoryBound(to: Float.self)
        return { gradient in
            let blocks = gradient.assumingMemoryBound(to: Float.self)
            team.split(shape[0] / 16) { begin, end in
                apus_plain_gradient(blocks, stored, shape[1], begin, end)
            }
        }
    }

    private var converts: Bool { reorder != nil || storeGradient != nil }

    /// Converted weights first, then what the primitives themselves ask for.
    private var weightBytes: Int {
        !converts || keepsWeights ? 0 : weights.byteCount.roundedUp(to: 4096)
    }

    var convertedCount: Int {
        keepsWeights ? weights.byteCount.dividedRoundingUp(by: MemoryLayout<Float>.stride) : 0
    }

    var keptBytes: Int {
        // Folded weights that are read as they are are this step's alone.
        let folded = fold != nil && !keepsWeights ? plainWeights.byteCount : 0
        return folded + (padding?.padded.byteCount ?? 0)
    }

    var scratchBytes: Int {
        weightBytes + max(primitive.scratchBytes, reorder?.scratchBytes ?? 0)
    }

    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) throws {
        let rest = scratch + weightBytes
        try primitive.setScratch(rest)
        guard converts else { return }
        let converted = keepsWeights ? UnsafeMutableRawPointer(converted) : scratch
        try primitive.set(weightArgument, weights, converted)
        self.converted = converted
        cachedVersion = -1
        guard let reorder else { return }
        try reorder.setScratch(rest)
        let toPlain = pass == .weightGradient
        try reorder.set(
            DNNL_ARG_FROM, toPlain ? weights : plainWeights, toPlain ? converted : weightPointer)
        try reorder.set(
            DNNL_ARG_TO, toPlain ? plainWeights : weights, toPlain ? weightPointer : converted)
    }

    func run(_ context: RunContext) {
        if pass == .weightGradient {
            primitive.execute()
            reorder?.execute()
            if let converted { storeGradient?(converted) }
            padding?.remove()
            return
        }
        let isStale = computesWeights || cachedVersion != context.parameterVersion
        if isStale { fold?() }
        if isStale || !keepsWeights {
            padding?.add()
            reorder?.execute()
        }
        cachedVersion = context.parameterVersion
        primitive.execute()
    }
}

extension ActivationFunction? {
    /// As the library applies it after a convolution.
    fileprivate var epilogue: apus_epilogue {
        switch self {
        case nil: apus_epilogue_none
        case .relu: apus_epilogue_relu
        case .relu6: apus_epilogue_relu6
        case .silu: apus_epilogue_silu
        default: preconditionFailure("no normalization absorbs this activation")
        }
    }
}

extension ConvolutionProblem.Pass {
    fileprivate var shim: apus_pass {
        switch self {
        case .forward: apus_pass_forward
        case .inputGradient: apus_pass_input_gradient
        case .weightGradient: apus_pass_weight_gradient
        }
    }
}
