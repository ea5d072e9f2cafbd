import ApusGraph
import ApusTensor
import CDNNL
import CKernels
import Foundation

extension StepBuilder {
    func scaleChannels(_ node: Node) -> any Step {
        let x = memory(node.inputs[0])
        let factors = pointer(node.inputs[1])
        let y = memory(node.outputs[0])
        let (planeCount, _, pixels) = planes(shape(node.inputs[0]))
        let (team, format) = (team, format(node.inputs[0]))
        return KernelStep { _, _ in
            team.split(planeCount) { begin, end in
                apus_plane_scale(format, x, factors, y, 1, pixels, begin, end)
            }
        }
    }

    /// On the caller's thread: only small weights are scaled.
    func scaleWeights(_ node: Node) -> any Step {
        let shape = shape(node.inputs[0])
        let (outputs, inputs) = (shape[0], shape[1])
        let (w, factors) = (pointer(node.inputs[0]), pointer(node.inputs[1]))
        let y = pointer(node.outputs[0])
        return KernelStep { _, _ in
            for output in 0..<outputs {
                let (row, scaled) = (w + output * inputs, y + output * inputs)
                for input in 0..<inputs { scaled[input] = row[input] * factors[input] }
            }
        }
    }

    func channelDot(_ node: Node) -> any Step {
        let a = memory(node.inputs[0])
        let b = memory(node.inputs[1])
        let y = pointer(node.outputs[0])
        let (planeCount, _, pixels) = planes(shape(node.inputs[0]))
        let (team, format) = (team, format(node.inputs[0]))
        return KernelStep { _, _ in
            team.split(planeCount) { begin, end in
                apus_plane_dot(format, a, b, y, 1, pixels, begin, end)
            }
        }
    }

    func concatenate(_ node: Node) -> any Step {
        let target = node.outputs[0]
        var start = 0
        let copies = node.inputs.compactMap { source -> ChannelCopy? in
            defer { start += shape(source)[1] }
            // What was there before is in its place.
            if start == 0, sharesImage(source, target) { return nil }
            return channelCopy(
                from: source, 0, to: target, start, channels: shape(source)[1])
        }
        return copySteps(copies, to: target, clears: shape(target)[1] % block != 0)
    }

    func slice(_ node: Node, _ start: Int, _ count: Int) -> any Step {
        let copy = channelCopy(
            from: node.inputs[0], start, to: node.outputs[0], 0, channels: count)
        return copySteps([copy], to: node.outputs[0], clears: count % block != 0)
    }

    func subsamplePad(_ node: Node, _ stride: Int, _ before: Int) -> any Step {
        let (x, y) = (node.inputs[0], node.outputs[0])
        let copy = channelCopy(
            from: x, 0, stride: stride, to: y, before, channels: shape(x)[1])
        return copySteps([copy], to: y, clears: true)
    }

    func subsamplePadGradient(_ node: Node, _ stride: Int, _ before: Int) -> any Step {
        let (dy, dx) = (node.inputs[0], node.outputs[0])
        var copy = channelCopy(from: dy, before, to: dx, 0, channels: shape(dx)[1])
        copy.geometry.targetStride = stride
        copy.geometry.height = shape(dy)[2]
        copy.geometry.width = shape(dy)[3]
        return copySteps([copy], to: dx, clears: true)
    }

    private struct ChannelCopy {
        var source: UnsafeMutableRawPointer
        var geometry: apus_channel_copy
    }

    private func channelCopy(
        from source: ValueID, _ sourceStart: Int, stride: Int = 1, to target: ValueID,
        _ targetStart: Int, channels: Int
    ) -> ChannelCopy {
        let (s, t) = (hostShape(source), hostShape(target))
        return ChannelCopy(
            source: memory(source),
            geometry: apus_channel_copy(
                sourceChannels: s[1], sourceHeight: s[2], sourceWidth: s[3],
                sourceStart: sourceStart, sourceStride: stride,
                targetChannels: t[1], targetHeight: t[2], targetWidth: t[3],
                targetStart: targetStart, targetStride: 1,
                channels: channels, height: t[2], width: t[3]))
    }

    /// Images are shared among the team; `clears` zeroes what the copies leave out.
    private func copySteps(
        _ copies: [ChannelCopy], to target: ValueID, clears: Bool
    ) -> any Step {
        let y = memory(target)
        let images = shape(target)[0]
        let perImage = graph.storageBytes(graph.hosts[target] ?? target) / images
        let (team, format) = (team, format(target))
        return KernelStep { _, _ in
            team.split(images) { begin, end in
                if clears {
                    memset(y + begin * perImage, 0, (end - begin) * perImage)
                }
                for copy in copies {
                    withUnsafePointer(to: copy.geometry) {
                        apus_copy_channels(format, copy.source, y, $0, begin, end)
                    }
                }
            }
        }
    }

    /// The same logical value in another layout or rank.
    func reorder(_ node: Node) throws -> any Step {
        let (x, y) = (node.inputs[0], node.outputs[0])
        precondition(type(x) == type(y), "a reorder keeps the type")
        let image = shape(x).rank == 4 ? shape(x) : shape(y)
        let (source, target) = (memory(x), memory(y))
        guard layout(x) != layout(y), image.rank == 4 else {
            let bytes = graph.storageBytes(x)
            return KernelStep { _, _ in target.copyMemory(from: source, byteCount: bytes) }
        }
        let from = Descriptor.image(image, layout(x), type(x))
        let to = Descriptor.image(image, layout(y), type(y))
        let primitive = try Primitive.reorder(library, from: from, to: to)
        try primitive.set(DNNL_ARG_FROM, from, source)
        try primitive.set(DNNL_ARG_TO, to, target)
        return PrimitiveStep(primitive)
    }

    /// The same value in another type.
    func convert(_ node: Node) -> any Step {
        let (x, y) = (node.inputs[0], node.outputs[0])
        precondition(layout(x) == layout(y), "a conversion keeps the layout")
        let (team, count) = (team, count(x))
        if type(x) == .float32 {
            let (source, target) = (pointer(x), memory(y))
            return KernelStep { _, _ in
                team.splitArray(count) { begin, end in apus_narrow(source, target, begin, end) }
            }
        }
        let (source, target) = (memory(x), pointer(y))
        return KernelStep { _, _ in
            team.splitArray(count) { begin, end in apus_widen(source, target, begin, end) }
        }
    }
}
