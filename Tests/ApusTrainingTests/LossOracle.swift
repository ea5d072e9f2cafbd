import ApusTensor
import Foundation

import ApusTraining

/// The losses as their papers write them, row by row in 64 bits: what the tiled ones are compared with.
struct LossOracle {
    let loss: ContrastiveLoss
    var labels: [Int32] = []
    var normalizes = true

    func callAsFunction(_ z: [[Double]]) -> Double {
        let rows = z.count
        let u = normalizes ? z.map(LossOracle.unit) : z
        func s(_ i: Int, _ j: Int) -> Double { zip(u[i], u[j]).reduce(0) { $0 + $1.0 * $1.1 } }
        func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
        var total = 0.0
        for i in 0..<rows {
            let pair = (i + rows / 2) % rows
            let others = (0..<rows).filter { $0 != i }
            let negatives = others.filter { $0 != pair }
            func logSum(_ t: Double) -> Double {
                let x = others.map { s(i, $0) / t }
                let top = x.max() ?? 0
                return top + log(x.reduce(0) { $0 + exp($1 - top) })
            }
            switch loss {
            case .ntXent(let t):
                total += logSum(Double(t)) - s(i, pair) / Double(t)
            case .ntLogistic(let t):
                total += softplus(-s(i, pair) / Double(t))
                total +=
                    negatives.reduce(0) { $0 + softplus(s(i, $1) / Double(t)) }
                    / Double(negatives.count)
            case .margin(let m):
                total +=
                    negatives.reduce(0) { $0 + max(0, s(i, $1) - s(i, pair) + Double(m)) }
                    / Double(negatives.count)
            case .semiHard(let m):
                let farther = negatives.map { s(i, $0) }.filter { $0 < s(i, pair) }
                if let nearest = farther.max() { total += max(0, nearest - s(i, pair) + Double(m)) }
            case .supervised(let t):
                let label = labels[i % (rows / 2)]
                let same = others.filter { labels[$0 % (rows / 2)] == label }
                total -=
                    same.reduce(0) { $0 + s(i, $1) / Double(t) - logSum(Double(t)) }
                    / Double(same.count)
            }
        }
        return total / Double(rows)
    }

    /// Every derivative, by central differences.
    func gradient(_ z: [[Double]], step: Double = 1e-5) -> [[Double]] {
        z.indices.map { i in
            z[i].indices.map { k in
                var (up, down) = (z, z)
                up[i][k] += step
                down[i][k] -= step
                return (self(up) - self(down)) / (2 * step)
            }
        }
    }

    static func unit(_ x: [Double]) -> [Double] {
        let length = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return x.map { $0 / length }
    }
}
