import ApusRuntime
import ApusTensor

/// The directions in which vectors differ most (principal component analysis).
///
/// The leading eigenvectors of the covariance by subspace iteration, whose small problems are solved
/// by Jacobi's rotations. Deterministic: the first subspace is drawn from a fixed key, and each
/// component's largest weight is positive.
public struct PrincipalComponents: Sendable {
    public let mean: [Float]
    /// [components, features], of unit length, the one with the largest variance first.
    public let components: Tensor
    /// The variance along each component, and of all features together.
    public let variances: [Double]
    public let totalVariance: Double

    /// Finds up to `count` components of vectors [rows, features].
    public init(_ vectors: Tensor, count: Int) {
        let (rows, width) = (vectors.shape[0], vectors.shape[1])
        let count = min(count, width)
        let scaling = FeatureScaling(vectors)
        let covariance = Self.covariance(scaling.applied(to: vectors), rows, width)
        // More directions than asked for make the last ones converge as well.
        let size = min(width, count + 8)
        let key = RandomKey(seed: 0).child("principal components")
        var basis = (0..<size).map { row in
            (0..<width).map { Double(key.child(row).uniform(in: -1...1, at: $0)) }
        }
        Self.orthogonalize(&basis)
        var values: [Double] = []
        for _ in 0..<300 {
            var images = basis.map { Self.product(covariance, $0) }
            // The eigenvectors within the subspace (Rayleigh and Ritz).
            let small = basis.map { b in images.map { Self.dot(b, $0) } }
            let (found, rotation) = Self.eigenvectors(small)
            images = rotation.map { Self.combined(images, $0) }
            let change = zip(found, values).map { abs($0 - $1) }.prefix(count).max() ?? .infinity
            values = found
            Self.orthogonalize(&images)
            basis = images
            if change <= 1e-9 * max(found.first ?? 0, 1e-30) { break }
        }
        // Features were divided by one number; variances are of the features themselves.
        let scale = Double(scaling.factor)
        mean = scaling.mean
        variances = values.prefix(count).map { max(0, $0) / (scale * scale) }
        totalVariance =
            (0..<width).reduce(0) { $0 + Double(covariance[$1 * width + $1]) } / (scale * scale)
        components = Tensor(
            [count, width],
            basis.prefix(count).flatMap { row in
                let largest = row.max { abs($0) < abs($1) } ?? 1
                return row.map { Float(largest < 0 ? -$0 : $0) }
            })
    }

    /// The coordinates [rows, components] of vectors [rows, features].
    public func project(_ vectors: Tensor) -> Tensor {
        let (rows, width) = (vectors.shape[0], vectors.shape[1])
        let count = components.shape[0]
        var result = [Float](repeating: 0, count: rows * count)
        for row in 0..<rows {
            for k in 0..<count {
                var sum = 0.0
                for i in 0..<width {
                    let centered = vectors.elements[row * width + i] - mean[i]
                    sum += Double(centered) * Double(components.elements[k * width + i])
                }
                result[row * count + k] = Float(sum)
            }
        }
        return Tensor([rows, count], result)
    }

    private static func covariance(_ centered: Arena, _ rows: Int, _ width: Int) -> [Float] {
        var matrix = [Float](repeating: 0, count: width * width)
        matrix.withUnsafeMutableBufferPointer { matrix in
            guard let base = matrix.baseAddress else { return }
            EngineThread.shared.perform {
                MatrixProduct.multiply(
                    centered.base, transposeA: true, centered.base, into: base, rows: width,
                    inner: rows, columns: width)
            }
            for i in matrix.indices { matrix[i] /= Float(rows) }
        }
        return matrix
    }

    private static func product(_ matrix: [Float], _ x: [Double]) -> [Double] {
        let width = x.count
        return matrix.withUnsafeBufferPointer { matrix in
            x.withUnsafeBufferPointer { x in
                (0..<width).map { row in
                    var sum = 0.0
                    for i in 0..<width { sum += Double(matrix[row * width + i]) * x[i] }
                    return sum
                }
            }
        }
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        var sum = 0.0
        for i in a.indices { sum += a[i] * b[i] }
        return sum
    }

    private static func combined(_ rows: [[Double]], _ factors: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: rows[0].count)
        for (row, factor) in zip(rows, factors) {
            for i in result.indices { result[i] += factor * row[i] }
        }
        return result
    }

    /// Gram and Schmidt's method, twice, as once loses digits. A row that lies in the span of those
    /// before it becomes zero: what is left of it is rounding, which may point anywhere.
    private static func orthogonalize(_ rows: inout [[Double]]) {
        for row in rows.indices {
            for _ in 0..<2 {
                let before = dot(rows[row], rows[row]).squareRoot()
                for other in 0..<row {
                    let factor = dot(rows[row], rows[other])
                    for i in rows[row].indices { rows[row][i] -= factor * rows[other][i] }
                }
                let length = dot(rows[row], rows[row]).squareRoot()
                let factor = length > max(1e-10 * before, 1e-150) ? 1 / length : 0
                for i in rows[row].indices { rows[row][i] *= factor }
            }
        }
    }

    /// The eigenvalues of a small symmetric matrix, the largest first, and their eigenvectors as rows
    /// (Jacobi's cyclic method; Golub and Van Loan, section 8.5).
    static func eigenvectors(_ symmetric: [[Double]]) -> (values: [Double], vectors: [[Double]]) {
        var a = symmetric
        let size = a.count
        var vectors = (0..<size).map { row in (0..<size).map { $0 == row ? 1.0 : 0.0 } }
        let scale = a.joined().reduce(0) { max($0, abs($1)) }
        for _ in 0..<50 {
            var largest = 0.0
            for p in 0..<size {
                for q in p + 1..<max(size, p + 1) where abs(a[p][q]) > 1e-15 * scale {
                    largest = max(largest, abs(a[p][q]))
                    let theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
                    let sign = theta < 0 ? -1.0 : 1.0
                    let t = sign / (abs(theta) + (theta * theta + 1).squareRoot())
                    let c = 1 / (t * t + 1).squareRoot()
                    let s = t * c
                    for i in 0..<size {
                        let (x, y) = (a[i][p], a[i][q])
                        a[i][p] = c * x - s * y
                        a[i][q] = s * x + c * y
                    }
                    for i in 0..<size {
                        let (x, y) = (a[p][i], a[q][i])
                        a[p][i] = c * x - s * y
                        a[q][i] = s * x + c * y
                    }
                    for i in 0..<size {
                        let (x, y) = (vectors[p][i], vectors[q][i])
                        vectors[p][i] = c * x - s * y
                        vectors[q][i] = s * x + c * y
                    }
                }
            }
            if largest == 0 { break }
        }
        let order = (0..<size).sorted { a[$1][$1] < a[$0][$0] }
        return (order.map { a[$0][$0] }, order.map { vectors[$0] })
    }
}
