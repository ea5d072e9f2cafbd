import ApusRuntime
import ApusTensor
import Foundation

/// The objective of a linear probe on one set of features: the mean cross entropy of a linear
/// classifier plus penalty / (2 N) times the sum of its squared weights; biases are free. With
/// N times the mean this is scikit-learn's `LogisticRegression` with C = 1 / penalty.
///
/// A point is the weights [classes, features], then the biases. Rows are taken in tiles of a fixed
/// size, each on one thread, and the tiles' sums joined in order: the result does not depend on the
/// number of threads.
final class SoftmaxRegression {
    let classes: Int
    let width: Int
    let count: Int
    private let rows: Arena
    private let labels: [Int32]
    private let threads: Int
    /// Working memory of every tile: its share of the gradient and of the loss.
    private let gradients: Arena
    private var losses: [Double]
    private let scratch: Arena

    /// 512 rows of 512 features are 1 MiB: still in the cache when they are read again.
    private static let tile = 512

    init(_ data: LabelledFeatures, _ scaling: FeatureScaling, threads: Int) {
        classes = data.classes
        width = data.width
        count = data.count
        labels = data.labels
        self.threads = threads
        rows = scaling.applied(to: data.features)
        let tiles = (count + Self.tile - 1) / Self.tile
        gradients = Arena(count: tiles * classes * (width + 1))
        losses = [Double](repeating: 0, count: tiles)
        scratch = Arena(count: count * classes)
    }

    /// The objective at `point`, and its gradient.
    func value(_ point: [Double], penalty: Double, gradient: inout [Double]) -> Double {
        let weights = point.map(Float.init)
        let size = classes * (width + 1)
        weights.withUnsafeBufferPointer { weights in
            guard let weights = weights.baseAddress else { return }
            losses.withUnsafeMutableBufferPointer { losses in
                EngineThread.shared.perform {
                    let team = Team(threads: threads)
                    team.configure()
                    team.split(losses.count) { begin, end in
                        for tile in begin..<end {
                            losses[tile] = add(tile, weights, gradients.base + tile * size)
                        }
                    }
                }
            }
        }
        var sums = [Double](repeating: 0, count: size)
        for tile in losses.indices {
            let part = gradients.base + tile * size
            for i in 0..<size { sums[i] += Double(part[i]) }
        }
        let scale = 1 / Double(count)
        var squares = 0.0
        for i in 0..<classes * width {
            squares += point[i] * point[i]
            gradient[i] = scale * (sums[i] + penalty * point[i])
        }
        for i in classes * width..<size { gradient[i] = scale * sums[i] }
        return scale * (losses.reduce(0, +) + penalty / 2 * squares)
    }

    /// The covariance [width, width] of the features, which are centered; on one thread, as the order
    /// of sums must not depend on their number.
    func covariance() -> [Double] {
        var sums = [Double](repeating: 0, count: width * width)
        let part = Arena(count: width * width)
        EngineThread.shared.perform {
            Team(threads: 1).configure()
            for first in stride(from: 0, to: count, by: 8 * Self.tile) {
                let x = rows.base + first * width
                MatrixProduct.multiply(
                    x, transposeA: true, x, into: part.base, rows: width,
                    inner: min(8 * Self.tile, count - first), columns: width)
                for i in sums.indices { sums[i] += Double(part.base[i]) }
            }
        }
        return sums.map { $0 / Double(count) }
    }

    /// One tile: writes its gradient and returns its loss.
    private func add(
        _ tile: Int, _ weights: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        let first = tile * Self.tile
        let rowCount = min(Self.tile, count - first)
        let x = rows.base + first * width
        let scores = scratch.base + first * classes
        let biases = weights + classes * width
        MatrixProduct.multiply(
            x, weights, transposeB: true, into: scores, rows: rowCount, inner: width,
            columns: classes)
        var loss = 0.0
        let biasGradient = gradient + classes * width
        biasGradient.update(repeating: 0, count: classes)
        for row in 0..<rowCount {
            let score = scores + row * classes
            let label = Int(labels[first + row])
            for k in 0..<classes { score[k] += biases[k] }
            let own = Double(score[label])
            loss += logSumSoftmax(score, classes) - own
            score[label] -= 1
            for k in 0..<classes { biasGradient[k] += score[k] }
        }
        MatrixProduct.multiply(
            scores, transposeA: true, x, into: gradient, rows: classes, inner: rowCount,
            columns: width)
        return loss
    }
}

/// Turns scores into their softmax and returns the logarithm of the sum of exponentials.
private func logSumSoftmax(_ scores: UnsafeMutablePointer<Float>, _ count: Int) -> Double {
    var largest = scores[0]
    for k in 0..<count where scores[k] > largest { largest = scores[k] }
    var sum = 0.0
    for k in 0..<count {
        scores[k] = exp(scores[k] - largest)
        sum += Double(scores[k])
    }
    let inverse = Float(1 / sum)
    for k in 0..<count { scores[k] *= inverse }
    return Double(largest) + log(sum)
}
