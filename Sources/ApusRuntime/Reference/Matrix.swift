import ApusTensor

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ReferenceExecutor {
    /// c[i, j] = sum over k of op(a)[i, k] * op(b)[k, j], where op transposes or does nothing.
    static func matmul(
        _ a: ReferenceTensor, _ transposeA: Bool, _ b: ReferenceTensor, _ transposeB: Bool
    ) -> ReferenceTensor {
        let (rows, inner) = transposeA ? (a.shape[1], a.shape[0]) : (a.shape[0], a.shape[1])
        let columns = transposeB ? b.shape[0] : b.shape[1]
        var c = ReferenceTensor([rows, columns])
        for i in 0..<rows {
            for j in 0..<columns {
                var sum = 0.0
                for k in 0..<inner {
                    let left = transposeA ? a[k * rows + i] : a[i * inner + k]
                    let right = transposeB ? b[j * inner + k] : b[k * columns + j]
                    sum += left * right
                }
                c[i * columns + j] = sum
            }
        }
        return c
    }

    static func addBias(_ x: ReferenceTensor, _ bias: ReferenceTensor) -> ReferenceTensor {
        let columns = x.shape[1]
        var y = x
        for i in y.elements.indices { y[i] += bias[i % columns] }
        return y
    }

    static func sumRows(_ x: ReferenceTensor) -> ReferenceTensor {
        let columns = x.shape[1]
        var sums = ReferenceTensor([columns])
        for i in x.elements.indices { sums[i % columns] += x[i] }
        return sums
    }

    /// y = exp(x) / sum of exp(x) over a row. The row's maximum is subtracted first, which changes
    /// nothing but keeps exp from overflowing.
    static func softmax(_ x: ReferenceTensor) -> ReferenceTensor {
        var y = ReferenceTensor(x.shape)
        for row in rows(x.shape) {
            let largest = row.reduce(-Double.infinity) { max($0, x[$1]) }
            let sum = row.reduce(0) { $0 + exp(x[$1] - largest) }
            for i in row { y[i] = exp(x[i] - largest) / sum }
        }
        return y
    }

    /// dx = y * (dy - sum of dy * y over the row)
    static func softmaxGradient(
        _ dy: ReferenceTensor, y: ReferenceTensor
    ) -> ReferenceTensor {
        var dx = ReferenceTensor(y.shape)
        for row in rows(y.shape) {
            let dot = row.reduce(0) { $0 + dy[$1] * y[$1] }
            for i in row { dx[i] = y[i] * (dy[i] - dot) }
        }
        return dx
    }

    /// The indices of every row of a matrix.
    static func rows(_ shape: Shape) -> [Range<Int>] {
        (0..<shape[0]).map { $0 * shape[1]..<($0 + 1) * shape[1] }
    }
}
