import ApusTensor
import Foundation

/// How embeddings of unit length lie on their sphere, from up to 256 pairs of views.
public struct EmbeddingStatistics: Hashable, Codable, Sendable {
    /// The mean deviation of a coordinate times the root of the dimension: 1 if embeddings lie
    /// everywhere, 0 if all are the same.
    public var spread: Double
    /// Directions in use, from 1 to the dimension: the squared sum of the covariance's eigenvalues
    /// over the sum of their squares.
    public var rank: Double
    /// The mean squared distance of a pair (Wang and Isola 2020): 0 is perfect.
    public var alignment: Double
    /// The logarithm of the mean of e^(-2 d^2) over distances d of first views (the same): -4 is
    /// good, 0 is a single point.
    public var uniformity: Double

    /// Of rows 0..<N, the first views, and N..<2N, the second.
    public init(_ projections: Tensor) {
        let (half, dimension) = (projections.shape[0] / 2, projections.shape[1])
        let count = min(256, half)
        func unit(_ row: Int) -> [Double] {
            let x = projections.elements[row * dimension..<(row + 1) * dimension].map(Double.init)
            let length = max(x.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12)
            return x.map { $0 / length }
        }
        func dot(_ a: [Double], _ b: [Double]) -> Double {
            var sum = 0.0
            for k in a.indices { sum += a[k] * b[k] }
            return sum
        }
        let (first, second) = ((0..<count).map(unit), (0..<count).map { unit(half + $0) })
        alignment =
            zip(first, second).reduce(0) { $0 + 2 - 2 * dot($1.0, $1.1) } / Double(count)
        var mean = [Double](repeating: 0, count: dimension)
        for row in first { for k in mean.indices { mean[k] += row[k] / Double(count) } }
        let centered = first.map { row in zip(row, mean).map { $0 - $1 } }
        let variances = mean.indices.map { k in
            centered.reduce(0) { $0 + $1[k] * $1[k] } / Double(count)
        }
        let deviation = variances.reduce(0) { $0 + $1.squareRoot() } / Double(dimension)
        spread = deviation * Double(dimension).squareRoot()
        // The covariance and the matrix of dot products have the same eigenvalues.
        var trace = 0.0
        var squares = 0.0
        var near = 0.0
        for i in 0..<count {
            for j in 0..<i {
                let product = dot(centered[i], centered[j])
                squares += 2 * product * product
                near += exp(4 * dot(first[i], first[j]) - 4)
            }
            let own = dot(centered[i], centered[i])
            trace += own
            squares += own * own
        }
        rank = squares > 0 ? trace * trace / squares : 1
        uniformity = log(near / Double(max(1, count * (count - 1) / 2)))
    }
}
