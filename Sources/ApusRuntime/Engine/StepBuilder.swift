import ApusCompiler
import ApusGraph
import ApusTensor
import CDNNL
import CKernels

/// Turns the nodes of a program into steps over fixed memory.
struct StepBuilder {
    let program: Program
    let arena: Arena
    let store: ParameterStore
    let library: Library
    let team: Team
    let tuner: Tuner
    let isInference: Bool
    /// Room for the largest weights with a normalization folded in: a step converts them to its own
    /// layout as soon as they are there, so one place serves all.
    let folding: Arena

    var graph: Graph { program.graph }

    /// The number of channels in a block of the engine's layout.
    var block: Int { program.options.block }

    /// Where a value of 32-bit floats lies.
    func pointer(_ value: ValueID) -> UnsafeMutablePointer<Float> {
        precondition(type(value) == .float32, "\(value) is stored in another type")
        return address(value)
    }

    /// Where a value of any type lies.
    func memory(_ value: ValueID) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(address(value))
    }

    private func address(_ value: ValueID) -> UnsafeMutablePointer<Float> {
        switch program.bindings[value] {
        case .parameter(let name): return store.address(parameter: name)
        case .gradient(let name): return store.address(gradient: name)
        case .buffer(let name): return store.address(buffer: name)
        case nil:
            guard let offset = program.plan.offsets[value] else {
                preconditionFailure("\(value) has no place in the plan")
            }
            return arena.base + offset
        }
    }

    func shape(_ value: ValueID) -> Shape { graph.shape(value) }
    func layout(_ value: ValueID) -> Layout { graph.layout(value) }
    func type(_ value: ValueID) -> DataType { graph.type(value) }

    /// How the kernels are told of an image in blocked layout.
    func format(_ value: ValueID) -> apus_format {
        apus_format(block: block, type: type(value).kernel)
    }
    func count(_ value: ValueID) -> Int { graph.storageCount(value) }

    /// How many planes of one channel block an image in blocked layout has, and their pixels.
    func planes(_ shape: Shape) -> (count: Int, perImage: Int, pixels: Int) {
        let perImage = (shape[1] + block - 1) / block
        return (shape[0] * perImage, perImage, shape[2] * shape[3])
    }

    /// The shape of the image in memory: it has more channels than the value where the value is the first
    /// part of a wider one.
    func hostShape(_ value: ValueID) -> Shape { shape(graph.hosts[value] ?? value) }

    func hostBlocks(_ value: ValueID) -> Int { planes(hostShape(value)).perImage }

    /// Whether both begin one image in memory, so that nothing needs to be copied.
    func sharesImage(_ a: ValueID, _ b: ValueID) -> Bool { graph.sharesImage(a, b) }

    /// The step of a node; nil for sources that hold what they are given, and parts of images.
    func step(_ node: Node) throws -> (any Step)? {
        switch node.op {
        case .input, .parameter, .buffer:
            return nil
        case .constant(let value):
            let y = pointer(node.outputs[0])
            let count = count(node.outputs[0])
            return KernelStep { _, _ in y.update(repeating: value, count: count) }

        case .convolution, .convolutionInputGradient, .convolutionWeightGradient,
            .convolutionOfNormalized, .weightGradientOfNormalized:
            return try convolution(node)

        case .normalizedConvolution(let window, let groups, let n):
            return try normalizedConvolution(node, window, groups, n)
        case .batchNorm(let n): return batchNorm(node, n)
        case .normalize(let n): return normalize(node, n)
        case .batchNormGradient(let n, let frozen):
            return batchNormGradient(node, n, frozen: frozen)
        case .excitationSums(let n): return excitationSums(node, n)
        case .excitedNormGradient(let n, let frozen):
            return excitedNormGradient(node, n, frozen: frozen)
        case .channelMoments: return channelMoments(node)
        case .joinVectors: return joinVectors(node)
        case .movingAverage(let momentum, let correction):
            return movingAverage(node, momentum, correction)

        case .activation(let function): return activation(node, function)
        case .activationGradient(let function): return activationGradient(node, function)
        case .add: return add(node)
        case .dropout(let rate, let key): return dropout(node, rate, key)
        case .stochasticDepth(let rate, let key): return stochasticDepth(node, rate, key)

        case .maxPool(let window): return maxPool(node, window)
        case .maxPoolGradient(let window): return maxPoolGradient(node, window)
        case .averagePool(let window, let includesPadding):
            return averagePool(node, window, includesPadding)
        case .averagePoolGradient(let window, let includesPadding, _):
            return averagePoolGradient(node, window, includesPadding)
        case .globalAveragePool: return globalAveragePool(node)
        case .globalAveragePoolGradient: return globalAveragePoolGradient(node)

        case .matmul(let transposeA, let transposeB):
            return try matmul(node, transposeA, transposeB)
        case .addBias: return addBias(node)
        case .sumRows: return sumRows(node)
        case .softmax: return softmax(node)
        case .softmaxGradient: return softmaxGradient(node)

        case .scaleChannels: return scaleChannels(node)
        case .scaleWeights: return scaleWeights(node)
        case .channelDot: return channelDot(node)
        case .concatenate: return concatenate(node)
        case .slice(let start, let count):
            return start == 0 && sharesImage(node.inputs[0], node.outputs[0])
                ? nil : slice(node, start, count)
        case .subsamplePad(let stride, let before, _): return subsamplePad(node, stride, before)
        case .subsamplePadGradient(let stride, let before, _):
            return subsamplePadGradient(node, stride, before)
        case .flatten, .unflatten, .reorder: return try reorder(node)
        case .convert: return convert(node)

        case .crossEntropy(let smoothing): return crossEntropy(node, smoothing)
        case .crossEntropyGradient(let smoothing): return crossEntropyGradient(node, smoothing)
        }
    }
}

extension DataType {
    /// The type as the kernels know it.
    var kernel: apus_type {
        switch self {
        case .float32: apus_float32
        case .bfloat16: apus_bfloat16
        default: preconditionFailure("no kernel computes with \(self)")
        }
    }

    /// The type as oneDNN knows it.
    var library: dnnl_data_type_t {
        switch self {
        case .float32: dnnl_f32
        case .bfloat16: dnnl_bf16
        default: preconditionFailure("no kernel computes with \(self)")
        }
    }
}
