import ApusGraph
import ApusTensor

extension ReferenceExecutor {
    /// Mean and biased variance of every channel over the M = N * H * W values of the batch.
    static func moments(
        _ x: ReferenceTensor
    ) -> (mean: ReferenceTensor, variance: ReferenceTensor) {
        let grid = Grid(x.shape)
        let count = Double(grid.perChannel)
        let mean = map(channelSums(x)) { $0 / count }
        var squares = ReferenceTensor(x.shape)
        for n in 0..<grid.batch {
            for c in 0..<grid.channels {
                for i in grid.pixels(n, c) { squares[i] = (x[i] - mean[c]) * (x[i] - mean[c]) }
            }
        }
        return (mean, map(channelSums(squares)) { $0 / count })
    }

    /// With the normalized value xhat = (x - mean) / sqrt(variance + epsilon):
    ///
    ///     y = f(gamma * xhat + beta (+ residual)), with f the activation or none
    static func normalize(
        _ n: Normalization, _ x: ReferenceTensor, gamma: ReferenceTensor, beta: ReferenceTensor,
        mean: ReferenceTensor, variance: ReferenceTensor, residual: ReferenceTensor?
    ) -> ReferenceTensor {
        let grid = Grid(x.shape)
        var y = ReferenceTensor(x.shape)
        for image in 0..<grid.batch {
            for c in 0..<grid.channels {
                let deviation = (variance[c] + Double(n.epsilon)).squareRoot()
                for i in grid.pixels(image, c) {
                    var value = gamma[c] * (x[i] - mean[c]) / deviation + beta[c]
                    if let residual { value += residual[i] }
                    y[i] = n.activation.map { activation($0, value) } ?? value
                }
            }
        }
        return y
    }

    /// The normalized image, or its maxima where those are asked for.
    static func result(
        _ n: Normalization, _ x: ReferenceTensor, gamma: ReferenceTensor, beta: ReferenceTensor,
        mean: ReferenceTensor, variance: ReferenceTensor, residual: ReferenceTensor?, _ shape: Shape
    ) -> ReferenceTensor {
        let y = normalize(
            n, x, gamma: gamma, beta: beta, mean: mean, variance: variance, residual: residual)
        return n.maxPool.map { maxPool(y, $0, output: shape) } ?? y
    }

    /// What is added to the normalized value: the first operand as it is, or normalized with the others.
    static func residual(
        _ n: Normalization, _ operands: ArraySlice<ReferenceTensor>
    ) -> ReferenceTensor? {
        guard n.normalizesResidual else { return operands.first }
        let x = Array(operands)
        return normalize(
            Normalization(epsilon: n.epsilon), x[0], gamma: x[1], beta: x[2], mean: x[3],
            variance: x[4], residual: nil)
    }

    /// What a normalization yields besides its result y and statistics.
    static func furtherResults(_ n: Normalization, _ y: ReferenceTensor) -> [ReferenceTensor] {
        (n.savesSigns ? [map(y) { $0 > 0 ? 1 : 0 }] : []) + (n.pools ? [globalAveragePool(y)] : [])
    }

    /// With g = dy * f'(.), the gradient before the activation:
    ///
    ///     dresidual = g
    ///     dbeta     = sum of g            (over images and pixels)
    ///     dgamma    = sum of g * xhat
    ///     dx        = gamma / deviation * g                                      if frozen
    ///     dx        = gamma / deviation * (g - dbeta / M - xhat * dgamma / M)    otherwise
    ///
    /// The two further terms are the paths through the batch's mean and variance.
    static func normalizationGradient(
        _ n: Normalization, frozen: Bool, _ x: ReferenceTensor, dy: ReferenceTensor,
        gamma: ReferenceTensor, mean: ReferenceTensor, variance: ReferenceTensor,
        saved: ReferenceTensor?
    ) -> (
        dx: ReferenceTensor, dgamma: ReferenceTensor, dbeta: ReferenceTensor,
        dresidual: ReferenceTensor
    ) {
        let grid = Grid(x.shape)
        let count = Double(grid.perChannel)
        var dy = dy
        if let window = n.maxPool, let saved {
            let y = normalize(
                n, x, gamma: gamma, beta: saved, mean: mean, variance: variance, residual: nil)
            dy = maxPoolGradient(y, dy: dy, window)
        }
        var g = dy
        if let function = n.activation, let saved {
            // Before the activation; the output's sign, which is all a rectifier needs, where a residual was added.
            let z =
                n.addsResidual
                ? saved
                : normalize(
                    Normalization(epsilon: n.epsilon), x, gamma: gamma, beta: saved, mean: mean,
                    variance: variance, residual: nil)
            g = combine(dy, z) { dy, z in
                let isOutput = function.differentiatesFromOutput && !n.addsResidual
                return dy * derivative(function, saved: isOutput ? activation(function, z) : z)
            }
        }

        var deviation = variance
        for c in 0..<grid.channels {
            deviation[c] = (variance[c] + Double(n.epsilon)).squareRoot()
        }
        var xhat = ReferenceTensor(x.shape)
        for image in 0..<grid.batch {
            for c in 0..<grid.channels {
                for i in grid.pixels(image, c) { xhat[i] = (x[i] - mean[c]) / deviation[c] }
            }
        }
        let dbeta = channelSums(g)
        let dgamma = channelSums(combine(g, xhat, *))

        var dx = ReferenceTensor(x.shape)
        for image in 0..<grid.batch {
            for c in 0..<grid.channels {
                for i in grid.pixels(image, c) {
                    let throughStatistics =
                        frozen ? 0 : dbeta[c] / count + xhat[i] * dgamma[c] / count
                    dx[i] = gamma[c] / deviation[c] * (g[i] - throughStatistics)
                }
            }
        }
        return (dx, dgamma, dbeta, g)
    }

    /// For y = f(z) of a normalization without residual, with v = x - mean: over the pixels of every channel
    /// of every image the sums of dz y, dz f'(z), f'(z), dz f'(z) v and f'(z) v.
    static func excitationSums(
        _ n: Normalization, _ x: ReferenceTensor, dz: ReferenceTensor, gamma: ReferenceTensor,
        beta: ReferenceTensor, mean: ReferenceTensor, variance: ReferenceTensor
    ) -> [ReferenceTensor] {
        let plain = Normalization(epsilon: n.epsilon)
        let z = normalize(
            plain, x, gamma: gamma, beta: beta, mean: mean, variance: variance, residual: nil)
        let y = map(z) { z in n.activation.map { activation($0, z) } ?? z }
        let slope = combine(z, y) { z, y in
            n.activation.map { derivative($0, saved: $0.differentiatesFromOutput ? y : z) } ?? 1
        }
        let ones = map(x) { _ in 1 }
        // x - mean is what is normalized by a deviation of 1.
        let v = normalize(
            Normalization(epsilon: 0), x, gamma: map(mean) { _ in 1 }, beta: map(mean) { _ in 0 },
            mean: mean, variance: map(mean) { _ in 1 }, residual: nil)
        let open = combine(dz, slope, *)
        return [(dz, y), (open, ones), (slope, ones), (open, v), (slope, v)].map(channelDot)
    }
}
