import ApusGraph
import ApusTensor
import CKernels

extension StepBuilder {
    /// Statistics of every plane, merged over the batch, then one pass that normalizes, adds the
    /// residual and applies the activation.
    func batchNorm(_ node: Node, _ n: Normalization) -> any Step {
        let x = memory(node.inputs[0])
        let gamma = pointer(node.inputs[1])
        let beta = pointer(node.inputs[2])
        let residual = n.addsResidual ? memory(node.inputs[3]) : nil
        let y = memory(node.outputs[0])
        let xBlocks = hostBlocks(node.inputs[0])
        precondition(
            xBlocks == planes(shape(node.inputs[0])).perImage, "x is part of another image")
        let mean = pointer(node.outputs[1])
        let variance = pointer(node.outputs[2])
        let pooled = n.pools ? pointer(node.outputs[3]) : nil
        let streams = streams(node)
        let image = shape(node.inputs[0])
        let (planeCount, perImage, pixels) = planes(image)
        let (team, block, channels) = (team, block, image[1])
        let (format, function) = (format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        let groups = ChannelGroups(
            images: image[0], perImage: perImage, bytes: pixels * block * format.bytes, team)
        return KernelStep(scratch: planeCount * 2 * block + 3 * padded) { scratch, _ in
            let partial = scratch + 3 * padded
            let vectors = ChannelVectors(scratch, padded)
            groups.forEach { blocks in
                groups.split(blocks) { begin, end in
                    apus_plane_statistics(format, x, partial, pixels, begin, end)
                }
                let range = blocks.channels(block, of: channels)
                mergeStatistics(
                    partial, images: image[0], perImage: perImage, block: block, pixels: pixels,
                    channels: range, mean, variance)
                vectors.fill(range, mean, variance, gamma, beta, n.epsilon)
                groups.split(blocks, backwards: true) { begin, end in
                    apus_normalize(
                        format, x, residual, vectors.mean, vectors.scale, vectors.shift, y, pooled,
                        streams, function, perImage, xBlocks, pixels, begin, end)
                }
            }
        }
    }

    /// Whether the first output is written past the caches: it would fill them, and lines that are only
    /// written need not be read first. A smaller one may be read again from the third-level cache.
    private func streams(_ node: Node) -> Bool {
        let y = memory(node.outputs[0])
        return graph.storageBytes(node.outputs[0]) > 16 << 20
            && !node.inputs.contains { memory($0) == y }
    }

    func channelMoments(_ node: Node) -> any Step {
        let x = memory(node.inputs[0])
        let mean = pointer(node.outputs[0])
        let variance = pointer(node.outputs[1])
        let image = shape(node.inputs[0])
        let (planeCount, perImage, pixels) = planes(image)
        precondition(hostBlocks(node.inputs[0]) == perImage, "x is part of another image")
        let (team, block, format) = (team, block, format(node.inputs[0]))
        return KernelStep(scratch: planeCount * 2 * block) { partial, _ in
            team.split(planeCount) { begin, end in
                apus_plane_statistics(format, x, partial, pixels, begin, end)
            }
            mergeStatistics(
                partial, images: image[0], perImage: perImage, block: block, pixels: pixels,
                channels: 0..<image[1], mean, variance)
        }
    }

    func joinVectors(_ node: Node) -> any Step {
        let (a, b, y) = (pointer(node.inputs[0]), pointer(node.inputs[1]), pointer(node.outputs[0]))
        let (first, second) = (shape(node.inputs[0])[0], shape(node.inputs[1])[0])
        return KernelStep { _, _ in
            y.update(from: a, count: first)
            (y + first).update(from: b, count: second)
        }
    }

    func normalize(_ node: Node, _ n: Normalization) -> any Step {
        let x = memory(node.inputs[0])
        let inputs = node.inputs[1...4].map(pointer)
        let residual = n.addsResidual ? memory(node.inputs[5]) : nil
        let y = memory(node.outputs[0])
        let pooled = n.pools ? pointer(node.outputs[1]) : nil
        let streams = streams(node)
        let xBlocks = hostBlocks(node.inputs[0])
        let image = shape(node.inputs[0])
        let (planeCount, perImage, pixels) = planes(image)
        let (team, format, function) = (team, format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        return KernelStep(scratch: 3 * padded) { scratch, _ in
            let vectors = ChannelVectors(scratch, padded)
            vectors.fill(0..<image[1], inputs[2], inputs[3], inputs[0], inputs[1], n.epsilon)
            team.split(planeCount) { begin, end in
                apus_normalize(
                    format, x, residual, vectors.mean, vectors.scale, vectors.shift, y, pooled,
                    streams, function, perImage, xBlocks, pixels, begin, end)
            }
        }
    }

    /// With g the gradient before the activation: dbeta = sum g, dgamma = sum g xhat, and
    /// dx = gamma / deviation * (g - mean g - xhat * mean(g xhat)); without the means if frozen.
    func batchNormGradient(_ node: Node, _ n: Normalization, frozen: Bool) -> any Step {
        let x = memory(node.inputs[0])
        let dy = memory(node.inputs[1])
        let gamma = pointer(node.inputs[2])
        let mean = pointer(node.inputs[3])
        let variance = pointer(node.inputs[4])
        let y = n.activation != nil && n.addsResidual ? memory(node.inputs[5]) : nil
        let beta = n.activation != nil && !n.addsResidual ? pointer(node.inputs[5]) : nil
        let dx = memory(node.outputs[0])
        let dgamma = pointer(node.outputs[1])
        let dbeta = pointer(node.outputs[2])
        let dresidual = n.addsResidual ? memory(node.outputs[3]) : nil
        let dy2 = n.sumsGradients ? memory(node.inputs[n.secondGradientOperand]) : nil
        let base = n.accumulates ? memory(node.inputs[n.baseOperand]) : nil
        let (xBlocks, dxBlocks) = (hostBlocks(node.inputs[0]), hostBlocks(node.outputs[0]))
        precondition(
            !n.sumsGradients || n.addsResidual && xBlocks == planes(shape(node.inputs[0])).perImage,
            "no kernel sums the gradients of this normalization")
        precondition(!n.addsResidual || !n.accumulates, "no kernel writes both gradients and adds")
        let image = shape(node.inputs[0])
        let (planeCount, perImage, pixels) = planes(image)
        let (team, block, channels) = (team, block, image[1])
        let (format, function) = (format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        let elements = Double(image[0] * pixels)
        // Both passes read x and the gradient.
        let groups = ChannelGroups(
            images: image[0], perImage: perImage, bytes: 2 * pixels * block * format.bytes, team)
        return KernelStep(scratch: planeCount * 2 * block + 6 * padded) { scratch, _ in
            let partial = scratch + 6 * padded
            let vectors = ChannelVectors(scratch, padded)
            vectors.fill(0..<channels, mean, variance, gamma, beta, n.epsilon)
            let (a, b, c) = (
                scratch + 3 * padded, scratch + 4 * padded, scratch + 5 * padded
            )
            a.update(repeating: 0, count: 3 * padded)
            groups.forEach { blocks in
                groups.split(blocks) { begin, end in
                    if let dy2, let dresidual {
                        apus_normalize_reduce_sum(
                            format, x, dy, dy2, y, vectors.mean, dresidual, partial, perImage,
                            pixels, begin, end)
                    } else {
                        apus_normalize_reduce(
                            format, function, x, dy, y, vectors.mean, vectors.scale, vectors.shift,
                            partial, perImage, xBlocks, pixels, begin, end)
                    }
                }
                for channel in blocks.channels(block, of: channels) {
                    var sum = 0.0
                    var product = 0.0
                    let lane = channel / block * 2 * block + channel % block
                    for image in 0..<image[0] {
                        let at = partial + image * perImage * 2 * block + lane
                        sum += Double(at[0])
                        product += Double(at[block])
                    }
                    let inverse = 1 / (Double(variance[channel]) + Double(n.epsilon)).squareRoot()
                    let scale = Double(gamma[channel]) * inverse
                    dgamma[channel] = Float(product * inverse)
                    dbeta[channel] = Float(sum)
                    a[channel] = Float(scale)
                    b[channel] = frozen ? 0 : Float(-scale * inverse * inverse * product / elements)
                    c[channel] = frozen ? 0 : Float(-scale * sum / elements)
                }
                groups.split(blocks, backwards: true) { begin, end in
                    if dy2 != nil {
                        // The first pass left the gradient before the activation in dresidual.
                        apus_normalize_gradient(
                            format, apus_identity, x, dresidual, nil, vectors.mean, vectors.scale,
                            vectors.shift, a, b, c, nil, dx, nil, perImage, xBlocks, dxBlocks,
                            pixels, begin, end)
                    } else {
                        apus_normalize_gradient(
                            format, function, x, dy, y, vectors.mean, vectors.scale, vectors.shift,
                            a, b, c, base, dx, dresidual, perImage, xBlocks, dxBlocks, pixels,
                            begin, end)
                    }
                }
            }
        }
    }

    func movingAverage(_ node: Node, _ momentum: Float, _ correction: Float) -> any Step {
        let old = pointer(node.inputs[0])
        let statistic = pointer(node.inputs[1])
        let new = pointer(node.outputs[0])
        let count = shape(node.outputs[0]).count
        return KernelStep { _, _ in
            for i in 0..<count {
                new[i] = (1 - momentum) * old[i] + momentum * correction * statistic[i]
            }
        }
    }
}

extension Normalization {
    /// The activation as kernels know it.
    var kernel: apus_function { activation?.kernel.0 ?? apus_identity }
}

extension Range<Int> {
    /// The channels of these blocks, of so many in all.
    fileprivate func channels(_ block: Int, of count: Int) -> Range<Int> {
        lowerBound * block..<Swift.min(upperBound * block, count)
    }
}

extension apus_format {
    /// Bytes of an element.
    fileprivate var bytes: Int { type == apus_float32 ? 4 : 2 }
}

/// Mean, scale and shift of every channel, zero in the lanes past the last.
struct ChannelVectors {
    let mean: UnsafeMutablePointer<Float>
    let scale: UnsafeMutablePointer<Float>
    let shift: UnsafeMutablePointer<Float>
    let padded: Int

    init(_ scratch: UnsafeMutablePointer<Float>, _ padded: Int) {
        mean = scratch
        scale = scratch + padded
        shift = scratch + 2 * padded
        self.padded = padded
    }

    func fill(
        _ channels: Range<Int>, _ mean: UnsafePointer<Float>, _ variance: UnsafePointer<Float>,
        _ gamma: UnsafePointer<Float>, _ beta: UnsafePointer<Float>?, _ epsilon: Float
    ) {
        let end = channels.upperBound
        for vector in [self.mean, scale, shift] {
            (vector + end).update(repeating: 0, count: padded - end)
        }
        for channel in channels {
            self.mean[channel] = mean[channel]
            scale[channel] = gamma[channel] / (variance[channel] + epsilon).squareRoot()
            shift[channel] = beta?[channel] ?? 0
        }
    }
}

/// Joins the planes' sums and squared deviations in double precision (Chan, Golub, LeVeque 1979):
/// the order is fixed, so the result does not depend on the number of threads.
private func mergeStatistics(
    _ partial: UnsafePointer<Float>, images: Int, perImage: Int, block: Int, pixels: Int,
    channels: Range<Int>, _ mean: UnsafeMutablePointer<Float>,
    _ variance: UnsafeMutablePointer<Float>
) {
    let count = Double(images * pixels)
    for channel in channels {
        let lane = channel / block * 2 * block + channel % block
        var sum = 0.0
        for image in 0..<images { sum += Double(partial[image * perImage * 2 * block + lane]) }
        let center = sum / count
        var squares = 0.0
        for image in 0..<images {
            let at = partial + image * perImage * 2 * block + lane
            let distance = Double(at[0]) / Double(pixels) - center
            squares += Double(at[block]) + Double(pixels) * distance * distance
        }
        mean[channel] = Float(center)
        variance[channel] = Float(squares / count)
    }
}
