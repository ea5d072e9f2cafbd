import ApusGraph
import ApusTensor
import CKernels

extension StepBuilder {
    func maxPool(_ node: Node, _ window: Window) -> any Step {
        pool(node, window, input: shape(node.inputs[0])) { format, pointers, w, begin, end in
            apus_max_pool(format, pointers[0], pointers[1], w, begin, end)
        }
    }

    func maxPoolGradient(_ node: Node, _ window: Window) -> any Step {
        pool(node, window, input: shape(node.inputs[0])) { format, pointers, w, begin, end in
            apus_max_pool_gradient(format, pointers[0], pointers[1], pointers[2], w, begin, end)
        }
    }

    func averagePool(_ node: Node, _ window: Window, _ includesPadding: Bool) -> any Step {
        pool(node, window, input: shape(node.inputs[0])) { format, pointers, w, begin, end in
            apus_average_pool(
                format, pointers[0], pointers[1], w, includesPadding, begin, end)
        }
    }

    func averagePoolGradient(
        _ node: Node, _ window: Window, _ includesPadding: Bool
    ) -> any Step {
        pool(node, window, input: shape(node.outputs[0])) { format, pointers, w, begin, end in
            apus_average_pool_gradient(
                format, pointers[0], pointers[1], w, includesPadding, begin, end)
        }
    }

    /// A pooling pass over planes; `kernel` gets the pointers of inputs, then outputs.
    private func pool(
        _ node: Node, _ window: Window, input: Shape,
        _ kernel:
            @escaping (
                _ format: apus_format, _ pointers: [UnsafeMutableRawPointer],
                _ window: UnsafePointer<apus_window>, _ begin: Int, _ end: Int
            ) -> Void
    ) -> any Step {
        let geometry = geometry(window, over: input)
        let pointers = (node.inputs + node.outputs).map(memory)
        let (team, format, planeCount) = (team, format(node.outputs[0]), planes(input).count)
        return KernelStep { _, _ in
            withUnsafePointer(to: geometry) { geometry in
                team.split(planeCount) { begin, end in
                    kernel(format, pointers, geometry, begin, end)
                }
            }
        }
    }

    /// A window as the kernels know it.
    func geometry(_ window: Window, over input: Shape) -> apus_window {
        guard let output = window.output(of: Size(input[2], input[3])) else {
            preconditionFailure("the window does not fit into \(input)")
        }
        return apus_window(
            inputHeight: input[2], inputWidth: input[3],
            outputHeight: output.height, outputWidth: output.width,
            kernelHeight: window.kernel.height, kernelWidth: window.kernel.width,
            strideHeight: window.stride.height, strideWidth: window.stride.width,
            dilationHeight: window.dilation.height, dilationWidth: window.dilation.width,
            padTop: window.padding.top, padLeft: window.padding.left)
    }

    func globalAveragePool(_ node: Node) -> any Step {
        let x = memory(node.inputs[0])
        let y = pointer(node.outputs[0])
        let (planeCount, _, pixels) = planes(shape(node.inputs[0]))
        let (team, format) = (team, format(node.inputs[0]))
        return KernelStep { _, _ in
            team.split(planeCount, grain: 64) { begin, end in
                apus_plane_dot(format, x, nil, y, 1 / Float(pixels), pixels, begin, end)
            }
        }
    }

    func globalAveragePoolGradient(_ node: Node) -> any Step {
        let dy = pointer(node.inputs[0])
        let dx = memory(node.outputs[0])
        let (planeCount, _, pixels) = planes(shape(node.outputs[0]))
        let (team, format) = (team, format(node.outputs[0]))
        return KernelStep { _, _ in
            team.split(planeCount, grain: 64) { begin, end in
                apus_plane_scale(format, nil, dy, dx, 1 / Float(pixels), pixels, begin, end)
            }
        }
    }
}
