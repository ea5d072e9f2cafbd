import Foundation

/// Student's t distribution for whole degrees of freedom.
package enum StudentT {
    /// P(|T| <= t), by the finite sums of Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    package static func central(_ t: Double, freedom: Int) -> Double {
        let angle = atan(t / Double(freedom).squareRoot())
        let (sine, cosine) = (sin(angle), cos(angle))
        var term = freedom % 2 == 1 ? cosine : 1
        var sum = freedom == 1 ? 0 : term
        for k in stride(from: freedom % 2 == 1 ? 3 : 2, through: freedom - 1, by: 2) {
            term *= cosine * cosine * Double(k - 1) / Double(k)
            sum += term
        }
        return freedom % 2 == 1 ? 2 / .pi * (angle + sine * sum) : sine * sum
    }

    /// The t below which a share `p` above one half of the distribution lies.
    package static func quantile(_ p: Double, freedom: Int) -> Double {
        var (low, high) = (0.0, 1e6)
        for _ in 0..<200 {
            let middle = (low + high) / 2
            if central(middle, freedom: freedom) < 2 * p - 1 { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
