import CKernels

extension SimilarityMatrix {
    /// The mean over rows of the mean over negatives of max(0, s- - s+ + margin).
    func margin(_ margin: Float) -> Double {
        visit(noteLargest)
        let share = 1 / (Double(rows) * Double(rows - 2))
        let bounds = perRow(Float.infinity)
        for row in 0..<rows { bounds[row] = positives[row] - margin }
        let (counts, twice, sums) = (perRow(0.0), perRow(0.0), perBlock())
        differentiate(ofPositives: perRow(0)) { [block] tile in
            let (i, j) = (tile.rows.lowerBound, tile.columns.lowerBound)
            // On the diagonal rows and columns are the same and would count twice.
            let total = apus_tile_hinge(
                tile.x, tile.rows.count, tile.width, bounds.base + i, bounds.base + j,
                Float(share), counts.base + i, (tile.isDiagonal ? twice : counts).base + j)
            sums[i / block] += tile.isDiagonal ? total / 2 : total
        }
        for row in 0..<rows { differentiate(row, pair(row), Float(-counts[row] * share)) }
        return sums.sum * share
    }

    /// Of every row only the negative that is nearest among those farther than the pair counts; a row
    /// all of whose negatives are nearer contributes nothing.
    func semiHard(_ margin: Float) -> Double {
        // Pairs' similarities are known when the first visit is over.
        visit(noteLargest)
        let (best, nearest) = (perRow(-Float.infinity), perRow(-1))
        visit { [positives] tile in
            func offer(_ row: Int, _ other: Int, _ x: Float) {
                guard x < positives[row], x > best[row] else { return }
                best[row] = x
                nearest[row] = other
            }
            for row in tile.rows {
                let x = tile.x + (row - tile.rows.lowerBound) * tile.width
                for column in tile.columns {
                    let value = x[column - tile.columns.lowerBound]
                    offer(row, column, value)
                    if !tile.isDiagonal { offer(column, row, value) }
                }
            }
        }
        var loss = 0.0
        for row in 0..<rows where nearest[row] >= 0 {
            let excess = Double(best[row]) - Double(positives[row]) + Double(margin)
            guard excess > 0 else { continue }
            loss += excess / Double(rows)
            differentiate(row, nearest[row], 1 / Float(rows))
            differentiate(row, pair(row), -1 / Float(rows))
        }
        return loss
    }
}
