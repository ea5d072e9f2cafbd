import CKernels
import Foundation

extension SimilarityMatrix {
    /// The mean over rows of -log sigmoid(x of the pair) - mean over the others of log sigmoid(-x).
    func ntLogistic() -> Double {
        visit(noteLargest)
        let (count, others) = (Double(rows), Double(rows - 2))
        let ofPositives = perRow(Float(0))
        var loss = 0.0
        for row in 0..<rows {
            let x = Double(positives[row])
            loss += softplus(-x)
            ofPositives[row] = Float(-1 / (1 + exp(x)) / count)
        }
        let sums = perBlock()
        differentiate(ofPositives: ofPositives) { [block] tile in
            let total = apus_tile_logistic(
                tile.x, tile.rows.count, tile.width, Float(2 / (count * others)))
            sums[tile.rows.lowerBound / block] += tile.isDiagonal ? total : 2 * total
        }
        return (loss + sums.sum / others) / count
    }
}
