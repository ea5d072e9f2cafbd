import ApusGraph
import ApusTensor
import CKernels

// The gradient of squeeze-and-excitation behind a normalization, z = y * s with y = f(normalized x) and
// s computed from y's mean over pixels. Within a plane the gradient of y is dz * s + q, where s and
// q are constants, so everything that is summed over pixels is known from sums without them: one
// pass finds these, and after the gate's own gradients another one writes dx.

extension StepBuilder {
    func excitationSums(_ node: Node, _ n: Normalization) -> any Step {
        let x = memory(node.inputs[0])
        let dz = memory(node.inputs[1])
        let inputs = node.inputs[2...5].map(pointer)
        let sums = node.outputs.map { Optional(pointer($0)) }
        let image = shape(node.inputs[0])
        let (planeCount, perImage, pixels) = planes(image)
        precondition(hostBlocks(node.inputs[0]) == perImage, "x is part of another image")
        let (team, format, function) = (team, format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        let pooled = apus_format(block: block, type: apus_float32)
        return KernelStep(scratch: 3 * padded) { scratch, _ in
            let vectors = ChannelVectors(scratch, padded)
            vectors.fill(0..<image[1], inputs[2], inputs[3], inputs[0], inputs[1], n.epsilon)
            team.split(planeCount) { begin, end in
                apus_excitation_sums(
                    format, function, x, dz, vectors.mean, vectors.scale, vectors.shift, sums,
                    perImage, pixels, begin, end)
                // Of all sums only that of the slopes is not zero past the last channel.
                apus_zero_tail(pooled, sums[2], image[1], 1, begin, end)
            }
        }
    }

    /// With g = (dz * s + q) f' and q = dpooled / (H W): dbeta = sum g = s sum(dz f') + q sum(f') over
    /// images, dgamma likewise; dx as in `batchNormGradient`.
    func excitedNormGradient(_ node: Node, _ n: Normalization, frozen: Bool) -> any Step {
        let x = memory(node.inputs[0])
        let dz = memory(node.inputs[1])
        let vectorInputs = node.inputs[2...5].map(pointer)
        let (gamma, mean, variance) = (vectorInputs[0], vectorInputs[1], vectorInputs[2])
        let beta = vectorInputs[3]
        let planeInputs = node.inputs[6...].map(pointer)
        let (factors, pooled) = (planeInputs[0], planeInputs[1])
        let sums = Array(planeInputs[2...])
        let dx = memory(node.outputs[0])
        let dgamma = pointer(node.outputs[1])
        let dbeta = pointer(node.outputs[2])
        let image = shape(node.inputs[0])
        let (planeCount, perImage, pixels) = planes(image)
        precondition(hostBlocks(node.inputs[0]) == perImage, "x is part of another image")
        let (team, block, channels) = (team, block, image[1])
        let (format, function) = (format(node.inputs[0]), n.kernel)
        let padded = perImage * block
        let elements = Double(image[0] * pixels)
        return KernelStep(scratch: 6 * padded) { scratch, _ in
            let vectors = ChannelVectors(scratch, padded)
            vectors.fill(0..<channels, mean, variance, gamma, beta, n.epsilon)
            let (a, b, c) = (scratch + 3 * padded, scratch + 4 * padded, scratch + 5 * padded)
            a.update(repeating: 0, count: 3 * padded)
            for channel in 0..<channels {
                var sum = 0.0
                var product = 0.0
                for image in 0..<image[0] {
                    let at = image * padded + channel
                    let factor = Double(factors[at])
                    let rest = Double(pooled[at]) / Double(pixels)
                    sum += factor * Double(sums[0][at]) + rest * Double(sums[1][at])
                    product += factor * Double(sums[2][at]) + rest * Double(sums[3][at])
                }
                let inverse = 1 / (Double(variance[channel]) + Double(n.epsilon)).squareRoot()
                let scale = Double(gamma[channel]) * inverse
                dgamma[channel] = Float(product * inverse)
                dbeta[channel] = Float(sum)
                a[channel] = Float(scale)
                b[channel] = frozen ? 0 : Float(-scale * inverse * inverse * product / elements)
                c[channel] = frozen ? 0 : Float(-scale * sum / elements)
            }
            team.split(planeCount) { begin, end in
                apus_excited_gradient(
                    format, function, x, dz, factors, pooled, vectors.mean, vectors.scale,
                    vectors.shift, a, b, c, dx, perImage, pixels, begin, end)
            }
        }
    }
}
