/// Coordinates in which a linear probe is round: features vary a thousandfold more in some
/// directions than in others, and L-BFGS would take thousands of passes to learn that.
///
/// The second derivative of the objective is close to h C + (penalty / N) I for the weights of every
/// class, with C the covariance of the features and h = (1 - 1 / K) / K for K classes, and h for
/// biases. With L L' this matrix, weights w = L'^-1 u make it the identity in u. Another way to the
/// same minimum, not another minimum.
struct Preconditioner {
    private let width: Int
    private let classes: Int
    /// L, row by row; entries above the diagonal are not used.
    private let factor: [Double]
    private let biasScale: Double

    /// - Parameters:
    ///   - covariance: [width, width] of centered features
    ///   - ridge: penalty / N
    init(covariance: [Double], width: Int, classes: Int, ridge: Double) {
        self.width = width
        self.classes = classes
        let h = (1 - 1 / Double(classes)) / Double(classes)
        biasScale = 1 / h.squareRoot()
        let trace = (0..<width).reduce(0) { $0 + covariance[$1 * width + $1] }
        // Directions without variance must not be without curvature here.
        let least = ridge + 1e-7 * h * max(trace, 1e-30) / Double(width)
        var l = covariance.map { $0 * h }
        l.withUnsafeMutableBufferPointer { l in
            for i in 0..<width {
                l[i * width + i] += least
                for j in 0...i {
                    var sum = l[i * width + j]
                    for k in 0..<j { sum -= l[i * width + k] * l[j * width + k] }
                    l[i * width + j] =
                        i == j ? max(sum, least).squareRoot() : sum / l[j * width + j]
                }
            }
        }
        factor = l
    }

    /// The weights and biases at `u`.
    func point(_ u: [Double]) -> [Double] {
        var w = u
        w.withUnsafeMutableBufferPointer { w in
            factor.withUnsafeBufferPointer { l in
                for k in 0..<classes {
                    let start = k * width
                    for i in (0..<width).reversed() {
                        let value = w[start + i] / l[i * width + i]
                        w[start + i] = value
                        for j in 0..<i { w[start + j] -= l[i * width + j] * value }
                    }
                }
            }
        }
        for i in classes * width..<w.count { w[i] *= biasScale }
        return w
    }

    /// The coordinates of weights and biases: the inverse of `point`.
    func coordinates(_ w: [Double]) -> [Double] {
        var u = [Double](repeating: 0, count: w.count)
        for k in 0..<classes {
            for i in 0..<width {
                for j in 0...i { u[k * width + j] += factor[i * width + j] * w[k * width + i] }
            }
        }
        for i in classes * width..<w.count { u[i] = w[i] / biasScale }
        return u
    }

    /// The gradient by u, given that by weights and biases.
    func gradient(_ g: [Double]) -> [Double] {
        var v = g
        v.withUnsafeMutableBufferPointer { v in
            factor.withUnsafeBufferPointer { l in
                for k in 0..<classes {
                    let start = k * width
                    for i in 0..<width {
                        var sum = v[start + i]
                        for j in 0..<i { sum -= l[i * width + j] * v[start + j] }
                        v[start + i] = sum / l[i * width + i]
                    }
                }
            }
        }
        for i in classes * width..<v.count { v[i] *= biasScale }
        return v
    }
}
