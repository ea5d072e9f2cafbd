import ApusGraph
import ApusTensor
import CKernels

extension StepBuilder {
    func activation(_ node: Node, _ function: ActivationFunction) -> any Step {
        let x = memory(node.inputs[0])
        let y = memory(node.outputs[0])
        let count = count(node.outputs[0])
        let (kind, slope) = function.kernel
        let (team, block, format) = (team, block, format(node.outputs[0]))
        let image = shape(node.outputs[0])
        // Of all functions only the sigmoid does not keep the padding's zeros.
        let spoilsPadding =
            function == .sigmoid && layout(node.outputs[0]) != .plain && image[1] % block != 0
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in
                apus_activate(format.type, kind, slope, x, y, begin, end)
            }
            if spoilsPadding {
                let planeCount = (image[1] + block - 1) / block * image[0]
                apus_zero_tail(format, y, image[1], image[2] * image[3], 0, planeCount)
            }
        }
    }

    func activationGradient(_ node: Node, _ function: ActivationFunction) -> any Step {
        let dy = memory(node.inputs[0])
        let saved = memory(node.inputs[1])
        let dx = memory(node.outputs[0])
        let count = count(node.outputs[0])
        let (kind, slope) = function.kernel
        let (team, type) = (team, type(node.outputs[0]).kernel)
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in
                apus_activate_gradient(type, kind, slope, dy, saved, dx, begin, end)
            }
        }
    }

    func add(_ node: Node) -> any Step {
        let a = memory(node.inputs[0])
        let b = memory(node.inputs[1])
        let y = memory(node.outputs[0])
        let count = count(node.outputs[0])
        let (team, type) = (team, type(node.outputs[0]).kernel)
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in apus_add(type, a, b, y, begin, end) }
        }
    }

    func dropout(_ node: Node, _ rate: Float, _ key: UInt64) -> any Step {
        let x = memory(node.inputs[0])
        let y = memory(node.outputs[0])
        let value = shape(node.outputs[0])
        let isBlocked = layout(node.outputs[0]) != .plain
        let team = team
        var format = format(node.outputs[0])
        if !isBlocked { format.block = 1 }
        // A plain array is one plane of single-lane pixels.
        let channels = isBlocked ? value[1] : 1
        let pixels = isBlocked ? value[2] * value[3] : 1
        let planeCount = isBlocked ? planes(value).count : value.count
        return KernelStep { [format] _, context in
            let key = context.randomKey.child(Int(bitPattern: UInt(key))).state
            team.split(planeCount) { begin, end in
                apus_dropout(format, x, y, rate, key, channels, pixels, begin, end)
            }
        }
    }

    func stochasticDepth(_ node: Node, _ rate: Float, _ key: UInt64) -> any Step {
        let x = memory(node.inputs[0])
        let y = memory(node.outputs[0])
        let images = shape(node.outputs[0])[0]
        let perImage = count(node.outputs[0]) / images
        let (team, type) = (team, type(node.outputs[0]).kernel)
        return KernelStep { _, context in
            let key = context.randomKey.child(Int(bitPattern: UInt(key)))
            team.split(images) { begin, end in
                for image in begin..<end {
                    let factor: Float = key.uniform(at: image) >= rate ? 1 / (1 - rate) : 0
                    apus_multiply(
                        type, x, factor, y, image * perImage, (image + 1) * perImage)
                }
            }
        }
    }
}

extension ActivationFunction {
    /// The kernel's name of the function and its slope.
    var kernel: (apus_function, Float) {
        switch self {
        case .relu: (apus_relu, 0)
        case .relu6: (apus_relu6, 0)
        case .leakyReLU(let slope): (apus_leaky_relu, slope)
        case .sigmoid: (apus_sigmoid, 0)
        case .tanh: (apus_tanh, 0)
        case .silu: (apus_silu, 0)
        case .gelu: (apus_gelu, 0)
        }
    }
}
