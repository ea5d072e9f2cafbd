import ApusTensor

/// BYOL's loss (Grill et al. 2020): the mean over rows of |u - v|^2 = 2 - 2 cos of predictions and
/// targets, both divided by their lengths; only predictions have a gradient.
public enum RegressionLoss {
    /// - Parameters:
    ///   - predictions: [rows, d]
    ///   - targets: [rows, d]; row i is what row i of the predictions should be
    ///   - normalizes: whether rows are divided by their length first
    public static func evaluate(
        _ predictions: Tensor, _ targets: Tensor, normalizes: Bool = true
    ) -> (loss: Double, gradient: Tensor) {
        precondition(predictions.shape == targets.shape, "predictions and targets differ")
        let (rows, dimension) = (predictions.shape[0], predictions.shape[1])
        var gradient = Tensor(predictions.shape)
        var loss = 0.0
        for row in 0..<rows {
            let range = row * dimension..<(row + 1) * dimension
            let p = predictions.elements[range].map(Double.init)
            let t = targets.elements[range].map(Double.init)
            func length(_ x: [Double]) -> Double {
                normalizes ? max(x.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-12) : 1
            }
            let (pLength, tLength) = (length(p), length(t))
            var dot = 0.0
            for k in 0..<dimension {
                let difference = p[k] / pLength - t[k] / tLength
                loss += difference * difference
                dot += p[k] / pLength * difference
            }
            for k in 0..<dimension {
                let difference = p[k] / pLength - t[k] / tLength
                let slope = normalizes ? difference - p[k] / pLength * dot : difference
                gradient.elements[range.lowerBound + k] = Float(
                    2 * slope / (pLength * Double(rows)))
            }
        }
        return (loss / Double(rows), gradient)
    }
}
