import CKernels
import Foundation

extension SimilarityMatrix {
    /// The logarithm of the sum of e^x over the other rows apart from the pair, for every row:
    /// sums run beside the largest x so far, so that nothing overflows.
    func logarithmsOfNegatives() -> [Double] {
        let sums = perRow(0.0)
        visit { [largest] tile in
            let (i, j) = (tile.rows.lowerBound, tile.columns.lowerBound)
            apus_tile_row_sums(
                tile.x, tile.rows.count, tile.width, largest.base + i, sums.base + i)
            if tile.isDiagonal { return }
            apus_tile_column_sums(
                tile.x, tile.rows.count, tile.width, largest.base + j, sums.base + j)
        }
        return (0..<rows).map { Double(largest[$0]) + log(sums[$0]) }
    }

    /// With p the softmax of a row over all others, the loss is the mean of -log p at the pair, and
    /// its derivative by x is (p - 1 at the pair) / 2N. Masked, a row's similarity with itself takes
    /// no part in either; the largest x only scales sums and carries no gradient.
    func ntXent() -> Double {
        let negatives = logarithmsOfNegatives()
        let logs = perRow(Float.infinity)
        let ofPositives = perRow(Float(0))
        var loss = 0.0
        for row in 0..<rows {
            let own = softplus(negatives[row] - Double(positives[row]))
            loss += own
            logs[row] = Float(own + Double(positives[row]))
            ofPositives[row] = Float(expm1(-own) / Double(rows))
        }
        differentiateSoftmax(logs, ofPositives) { _ in }
        return loss / Double(rows)
    }

    /// Differentiates (the sum of) the logarithms of sums whose values are `logs`; `body` adds to it.
    func differentiateSoftmax(
        _ logs: RowValues<Float>, _ ofPositives: RowValues<Float>, _ body: (Tile) -> Void
    ) {
        differentiate(ofPositives: ofPositives) { [rows] tile in
            apus_tile_softmax(
                tile.x, tile.rows.count, tile.width, logs.base + tile.rows.lowerBound,
                logs.base + tile.columns.lowerBound, 1 / Float(rows))
            body(tile)
        }
    }
}

/// log(1 + e^x), without the difference of near numbers.
func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
