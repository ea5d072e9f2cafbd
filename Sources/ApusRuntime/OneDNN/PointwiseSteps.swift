import ApusGraph
import ApusTensor
import CKernels

extension StepBuilder {
    func activation(_ node: Node, _ function: ActivationFunction) -> any Step {
        let x = pointer(node.inputs[0])
        let y = pointer(node.outputs[0])
        let count = count(node.outputs[0])
        let (kind, slope) = function.kernel
        let (team, block) = (team, block)
        let image = shape(node.outputs[0])
        // Of all functions only the sigmoid does not keep the padding's zeros.
        let spoilsPadding =
            function == .sigmoid && layout(node.outputs[0]) != .plain && image[1] % block != 0
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in
                apus_activate(kind, slope, x, y, begin, end)
            }
            if spoilsPadding {
                let planeCount = (image[1] + block - 1) / block * image[0]
                apus_zero_tail(block, y, image[1], image[2] * image[3], 0, planeCount)
            }
        }
    }

    func activationGradient(_ node: Node, _ function: ActivationFunction) -> any Step {
        let dy = pointer(node.inputs[0])
        let saved = pointer(node.inputs[1])
        let dx = pointer(node.outputs[0])
        let count = count(node.outputs[0])
        let (kind, slope) = function.kernel
        let team = team
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in
                apus_activate_gradient(kind, slope, dy, saved, dx, begin, end)
            }
        }
    }

    func add(_ node: Node) -> any Step {
        let a = pointer(node.inputs[0])
        let b = pointer(node.inputs[1])
        let y = pointer(node.outputs[0])
        let count = count(node.outputs[0])
        let team = team
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in apus_add(a, b, y, begin, end) }
        }
    }

    func dropout(_ node: Node, _ rate: Float, _ key: UInt64) -> any Step {
        let x = pointer(node.inputs[0])
        let y = pointer(node.outputs[0])
        let value = shape(node.outputs[0])
        let isBlocked = layout(node.outputs[0]) != .plain
        let (team, block) = (team, isBlocked ? block : 1)
        // A plain array is one plane of single-lane pixels.
        let channels = isBlocked ? value[1] : 1
        let pixels = isBlocked ? value[2] * value[3] : 1
        let planeCount = isBlocked ? planes(value).count : value.count
        return KernelStep { _, context in
            let key = context.randomKey.child(Int(bitPattern: UInt(key))).state
            team.split(planeCount) { begin, end in
                apus_dropout(block, x, y, rate, key, channels, pixels, begin, end)
            }
        }
    }

    func stochasticDepth(_ node: Node, _ rate: Float, _ key: UInt64) -> any Step {
        let x = pointer(node.inputs[0])
        let y = pointer(node.outputs[0])
        let images = shape(node.outputs[0])[0]
        let perImage = count(node.outputs[0]) / images
        let team = team
        return KernelStep { _, context in
            let key = context.randomKey.child(Int(bitPattern: UInt(key)))
            team.split(images) { begin, end in
                for image in begin..<end {
                    let factor: Float = key.uniform(at: image) >= rate ? 1 / (1 - rate) : 0
                    let from = x + image * perImage
                    let to = y + image * perImage
                    for i in 0..<perImage { to[i] = from[i] * factor }
                }
            }
        }
    }
}

extension ActivationFunction {
    /// The kernel's name of the function and its slope.
    fileprivate var kernel: (apus_function, Float) {
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
