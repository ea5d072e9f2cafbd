import CKernels
import Foundation

extension SimilarityMatrix {
    /// The mean over rows of -1 / |P| times the sum of log p over the set P of other rows with the same
    /// label, the other view among them; p is the softmax of the row over all others.
    func supervised(_ labels: [Int32]) -> Double {
        precondition(labels.count == rows / 2, "\(labels.count) labels for \(rows / 2) images")
        let negatives = logarithmsOfNegatives()
        let own = perRow(Int32(-1))
        for row in 0..<rows { own[row] = labels[row % (rows / 2)] }
        var members: [Int32: Int] = [:]
        for label in labels { members[label, default: 0] += 2 }

        let (sums, twice) = (perRow(0.0), perRow(0.0))
        visit { tile in
            let (i, j) = (tile.rows.lowerBound, tile.columns.lowerBound)
            apus_tile_label_sums(
                tile.x, tile.rows.count, tile.width, own.base + i, own.base + j, sums.base + i,
                (tile.isDiagonal ? twice : sums).base + j)
        }
        let (logs, shares, ofPositives) = (
            perRow(Float.infinity), perRow(Float(0)), perRow(Float(0))
        )
        var loss = 0.0
        for row in 0..<rows {
            let positive = Double(positives[row])
            let whole = softplus(negatives[row] - positive) + positive
            let others = Double((members[own[row]] ?? 2) - 1)
            loss += whole - (sums[row] + positive) / others
            logs[row] = Float(whole)
            shares[row] = Float(1 / others)
            ofPositives[row] = Float((exp(positive - whole) - 1 / others) / Double(rows))
        }
        differentiateSoftmax(logs, ofPositives) { [rows] tile in
            let (i, j) = (tile.rows.lowerBound, tile.columns.lowerBound)
            apus_tile_subtract_labels(
                tile.x, tile.rows.count, tile.width, own.base + i, own.base + j,
                shares.base + i, shares.base + j, 1 / Float(rows))
        }
        return loss / Double(rows)
    }
}
