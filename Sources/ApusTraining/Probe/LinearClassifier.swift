import ApusRuntime
import ApusTensor

/// How features are brought to a common place and size before a linear classifier: the mean of each
/// is subtracted, and all are divided by one number.
///
/// Neither changes what a probe can find. Biases are not penalized, so they undo the shift; one
/// common factor is a factor of the penalty. Features are *not* standardized one by one: the papers
/// (Kornblith et al. 2019, SimCLR, CLIP) penalize weights of features as the encoder makes them,
/// whose sizes say which of them matter.
public struct FeatureScaling: Hashable, Codable, Sendable {
    public let mean: [Float]
    /// 1 over the root of the mean variance of all features.
    public let factor: Float

    init(_ features: Tensor) {
        let (count, width) = (features.shape[0], features.shape[1])
        var sums = [Double](repeating: 0, count: width)
        features.elements.withUnsafeBufferPointer { x in
            for row in 0..<count {
                for i in 0..<width { sums[i] += Double(x[row * width + i]) }
            }
        }
        let mean = sums.map { $0 / Double(count) }
        var squares = 0.0
        features.elements.withUnsafeBufferPointer { x in
            for row in 0..<count {
                for i in 0..<width {
                    let difference = Double(x[row * width + i]) - mean[i]
                    squares += difference * difference
                }
            }
        }
        let deviation = (squares / Double(count * width)).squareRoot()
        self.mean = mean.map(Float.init)
        // Features that are all the same tell nothing, at any scale.
        factor = deviation > 1e-30 ? Float(1 / deviation) : 1
    }

    func applied(to features: Tensor) -> Arena {
        let (count, width) = (features.shape[0], features.shape[1])
        let arena = Arena(count: count * width)
        features.elements.withUnsafeBufferPointer { x in
            mean.withUnsafeBufferPointer { mean in
                for row in 0..<count {
                    let y = arena.base + row * width
                    for i in 0..<width { y[i] = (x[row * width + i] - mean[i]) * factor }
                }
            }
        }
        return arena
    }
}

/// A linear classifier of feature vectors.
public struct LinearClassifier: Hashable, Sendable {
    public let scaling: FeatureScaling
    /// [classes, features], of scaled features.
    public let weights: Tensor
    public let biases: [Float]

    /// `point` is the weights, then the biases.
    init(_ scaling: FeatureScaling, point: [Double], classes: Int) {
        self.scaling = scaling
        let width = scaling.mean.count
        weights = Tensor([classes, width], point[..<(classes * width)].map(Float.init))
        biases = point[(classes * width)...].map(Float.init)
    }

    /// The scores [images, classes] of feature vectors [images, features].
    public func scores(_ features: Tensor) -> Tensor {
        let (count, width, classes) = (features.shape[0], features.shape[1], biases.count)
        precondition(
            width == scaling.mean.count, "\(width) features for \(scaling.mean.count) weights")
        let rows = scaling.applied(to: features)
        var scores = [Float](repeating: 0, count: count * classes)
        scores.withUnsafeMutableBufferPointer { scores in
            weights.elements.withUnsafeBufferPointer { weights in
                guard let scores = scores.baseAddress, let weights = weights.baseAddress else {
                    return
                }
                EngineThread.shared.perform {
                    MatrixProduct.multiply(
                        rows.base, weights, transposeB: true, into: scores, rows: count,
                        inner: width, columns: classes)
                }
                for row in 0..<count {
                    for k in 0..<classes { scores[row * classes + k] += biases[k] }
                }
            }
        }
        return Tensor([count, classes], scores)
    }

    /// The share of images whose own class has the highest score.
    public func accuracy(_ data: LabelledFeatures) -> Double {
        Double(scores(data.features).countCorrect(data.labels)) / Double(data.count)
    }
}
