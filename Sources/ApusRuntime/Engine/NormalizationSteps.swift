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
        let residual = residual(n, node.inputs.dropFirst(3))
        let y = memory(node.outputs[0])
        let xBlocks = hostBlocks(node.inputs[0])
        precondition(
            xBlocks == planes(shape(node.inputs[0])).perImage, "x is part of another image")
        let mean = pointer(node.outputs[1])
        let variance = pointer(node.outputs[2])
        let signs = signs(node)
        let pooled = n.pools ? node.outputs.last.map(pointer) : nil
        let streams = streams(node)
        let image = shape(node.inputs[0])
        let window = window(n, node, image)
        let (planeCount, perImage, pixels) = planes(image)
        let (team, block, channels) = (team, block, image[1])
        let (format, function) = (format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        let groups = ChannelGroups(
            images: image[0], perImage: perImage, bytes: pixels * block * format.bytes, team)
        return KernelStep(scratch: planeCount * 2 * block + 6 * padded) { scratch, _ in
            let partial = scratch + 6 * padded
            let vectors = ChannelVectors(scratch, padded)
            let residualVectors = residual?.vectors(at: scratch + 3 * padded, padded)
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
                    if let window {
                        apus_normalize_max_pool(
                            format, x, vectors.mean, vectors.scale, vectors.shift, y, window,
                            perImage, begin, end)
                        return
                    }
                    apus_normalize(
                        format, x, residual?.memory, vectors.mean, vectors.scale, vectors.shift,
                        residualVectors?.mean, y, signs, pooled, streams, function, perImage,
                        xBlocks, pixels, begin, end)
                }
            }
        }
    }

    /// The window under which maxima are looked for, if they are.
    private func window(_ n: Normalization, _ node: Node, _ image: Shape) -> apus_window? {
        precondition(
            n.maxPool == nil || hostBlocks(node.inputs[0]) == planes(image).perImage,
            "no kernel pools a part of another image")
        return n.maxPool.map { geometry($0, over: image) }
    }

    private func residual(_ n: Normalization, _ operands: ArraySlice<ValueID>) -> Residual? {
        guard let image = operands.first else { return nil }
        return Residual(
            memory: memory(image), channels: shape(image)[1], epsilon: n.epsilon,
            parameters: operands.dropFirst().map(pointer))
    }

    /// Whether the first output is written past the caches: it would fill them, and lines that are only
    /// written need not be read first. A smaller one may be read again from the third-level cache.
    private func streams(_ node: Node) -> Bool {
        let y = memory(node.outputs[0])
        return graph.storageBytes(node.outputs[0]) > 16 << 20
            && !node.inputs.contains { memory($0) == y }
    }

    /// Where the signs of a normalization's result are saved, if they are.
    private func signs(_ node: Node) -> UnsafeMutableRawPointer? {
        node.op.signsOutput.map { memory(node.outputs[$0]) }
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
        let residual = residual(n, node.inputs.dropFirst(5))
        let y = memory(node.outputs[0])
        let signs = signs(node)
        let pooled = n.pools ? node.outputs.last.map(pointer) : nil
        let streams = streams(node)
        let xBlocks = hostBlocks(node.inputs[0])
        let image = shape(node.inputs[0])
        let window = window(n, node, image)
        let (planeCount, perImage, pixels) = planes(image)
        let (team, format, function) = (team, format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        return KernelStep(scratch: 6 * padded) { scratch, _ in
            let vectors = ChannelVectors(scratch, padded)
            vectors.fill(0..<image[1], inputs[2], inputs[3], inputs[0], inputs[1], n.epsilon)
            let residualVectors = residual?.vectors(at: scratch + 3 * padded, padded)
            team.split(planeCount) { begin, end in
                if let window {
                    apus_normalize_max_pool(
                        format, x, vectors.mean, vectors.scale, vectors.shift, y, window, perImage,
                        begin, end)
                    return
                }
                apus_normalize(
                    format, x, residual?.memory, vectors.mean, vectors.scale, vectors.shift,
                    residualVectors?.mean, y, signs, pooled, streams, function, perImage, xBlocks,
                    pixels, begin, end)
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
        let signs = n.readsSigns ? memory(node.inputs[5]) : nil
        let beta = n.activation != nil && !n.addsResidual ? pointer(node.inputs[5]) : nil
        let dx = memory(node.outputs[0])
        let dgamma = pointer(node.outputs[1])
        let dbeta = pointer(node.outputs[2])
        let dresidual = n.addsResidual && !n.leavesResidual ? memory(node.outputs[3]) : nil
        let dy2 = n.sumsGradients ? memory(node.inputs[n.secondGradientOperand]) : nil
        let base = n.accumulates ? memory(node.inputs[n.baseOperand]) : nil
        let (xBlocks, dxBlocks) = (hostBlocks(node.inputs[0]), hostBlocks(node.outputs[0]))
        precondition(
            !n.sumsGradients || n.addsResidual && xBlocks == planes(shape(node.inputs[0])).perImage,
            "no kernel sums the gradients of this normalization")
        precondition(!n.addsResidual || !n.accumulates, "no kernel writes both gradients and adds")
        precondition(!n.sumsGradients || dresidual != nil, "the sum of both gradients has no place")
        let image = shape(node.inputs[0])
        let window = window(n, node, image)
        precondition(
            window == nil
                || dxBlocks == planes(image).perImage && dx != x && dx != dy && base == nil,
            "no kernel pools and writes into another image")
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
                            format, x, dy, dy2, signs, vectors.mean, dresidual, partial, perImage,
                            pixels, begin, end)
                    } else if let window {
                        apus_normalize_max_pool_reduce(
                            format, x, dy, vectors.mean, vectors.scale, vectors.shift, partial,
                            window, perImage, begin, end)
                    } else {
                        apus_normalize_reduce(
                            format, function, x, dy, signs, vectors.mean, vectors.scale,
                            vectors.shift, partial, perImage, xBlocks, pixels, begin, end)
                    }
                }
                forEachChannel(
                    partial, blocks, images: image[0], perImage: perImage, block: block,
                    channels: channels
                ) { channel, sum, product in
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
                    } else if let window {
                        apus_normalize_max_pool_gradient(
                            format, x, dy, vectors.mean, vectors.scale, vectors.shift, a, b, c, dx,
                            window, perImage, begin, end)
                    } else {
                        apus_normalize_gradient(
                            format, function, x, dy, signs, vectors.mean, vectors.scale,
                            vectors.shift,
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

/// What is added to a normalized image.
private struct Residual {
    let memory: UnsafeMutableRawPointer
    let channels: Int
    let epsilon: Float
    /// Gamma, beta, mean and variance where it is normalized, too.
    let parameters: [UnsafeMutablePointer<Float>]

    func vectors(at scratch: UnsafeMutablePointer<Float>, _ padded: Int) -> ChannelVectors? {
        guard parameters.count == 4 else { return nil }
        let vectors = ChannelVectors(scratch, padded)
        vectors.fill(
            0..<channels, parameters[2], parameters[3], parameters[0], parameters[1], epsilon)
        return vectors
    }
}

/// Mean, scale and shift of every channel behind each other, zero in the lanes past the last.
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
