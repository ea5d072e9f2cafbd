import ApusGraph
import ApusTensor
import CDNNL
import CKernels

extension StepBuilder {
    func scaleChannels(_ node: Node) -> any Step {
        let x = pointer(node.inputs[0])
        let factors = pointer(node.inputs[1])
        let y = pointer(node.outputs[0])
        let (planeCount, _, pixels) = planes(shape(node.inputs[0]))
        let (team, block) = (team, block)
        return KernelStep { _, _ in
            team.split(planeCount) { begin, end in
                apus_plane_scale(block, x, factors, y, 1, pixels, begin, end)
            }
        }
    }

    func channelDot(_ node: Node) -> any Step {
        let a = pointer(node.inputs[0])
        let b = pointer(node.inputs[1])
        let y = pointer(node.outputs[0])
        let (planeCount, _, pixels) = planes(shape(node.inputs[0]))
        let (team, block) = (team, block)
        return KernelStep { _, _ in
            team.split(planeCount) { begin, end in
                apus_plane_dot(block, a, b, y, 1, pixels, begin, end)
            }
        }
    }

    func concatenate(_ node: Node) -> any Step {
        let target = node.outputs[0]
        var start = 0
        let copies = node.inputs.map { source in
            defer { start += shape(source)[1] }
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
        var source: UnsafeMutablePointer<Float>
        var geometry: apus_channel_copy
    }

    private func channelCopy(
        from source: ValueID, _ sourceStart: Int, stride: Int = 1, to target: ValueID,
        _ targetStart: Int, channels: Int
    ) -> ChannelCopy {
        let (s, t) = (shape(source), shape(target))
        return ChannelCopy(
            source: pointer(source),
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
        let y = pointer(target)
        let images = shape(target)[0]
        let perImage = count(target) / images
        let (team, block) = (team, block)
        return KernelStep { _, _ in
            team.split(images) { begin, end in
                if clears {
                    (y + begin * perImage).update(repeating: 0, count: (end - begin) * perImage)
                }
                for copy in copies {
                    withUnsafePointer(to: copy.geometry) {
                        apus_copy_channels(block, copy.source, y, $0, begin, end)
                    }
                }
            }
        }
    }

    /// The same logical value in another layout or rank.
    func reorder(_ node: Node) throws -> any Step {
        let (x, y) = (node.inputs[0], node.outputs[0])
        let image = shape(x).rank == 4 ? shape(x) : shape(y)
        guard layout(x) != layout(y), image.rank == 4 else {
            let (from, to, count) = (pointer(x), pointer(y), count(x))
            return KernelStep { _, _ in to.update(from: from, count: count) }
        }
        let from = Descriptor.image(image, layout(x))
        let to = Descriptor.image(image, layout(y))
        let primitive = try Primitive.reorder(library, from: from, to: to)
        try primitive.set(DNNL_ARG_FROM, from, pointer(x))
        try primitive.set(DNNL_ARG_TO, to, pointer(y))
        return PrimitiveStep(primitive)
    }
}
