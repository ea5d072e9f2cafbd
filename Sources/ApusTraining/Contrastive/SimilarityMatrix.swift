import ApusRuntime
import ApusTensor
import CKernels

/// The similarities of all rows with all rows, a tile at a time: memory grows with the rows, not with
/// their square.
///
/// Rows 0..<N are the first views and N..<2N the second, so that row i and row i + N are a pair. The
/// matrix is symmetric: a tile off the diagonal stands for two. Blocks of rows depend on the number
/// of rows alone, and every round takes tiles that share no block, like a tournament in which
/// everybody meets everybody. So members of the team never write to the same rows, and every sum is
/// formed in the order of the rounds, whatever the number of threads.
package final class SimilarityMatrix {
    /// Similarities of a block of rows with another, times the scale.
    struct Tile {
        let rows: Range<Int>
        let columns: Range<Int>
        /// [rows.count, width]; a row with itself, pairs and columns past the last hold -infinity.
        let x: UnsafeMutablePointer<Float>
        let width: Int
        /// Rows and columns are the same block, which therefore stands for itself alone.
        var isDiagonal: Bool { rows.lowerBound == columns.lowerBound }
    }

    let rows: Int
    let dimension: Int
    /// What similarities are multiplied with: one over the temperature.
    let scale: Float
    /// Rows in a block.
    let block: Int
    /// The similarity of every row with its pair, times the scale; known after a visit.
    let positives: RowValues<Float>
    /// The largest of the other similarities of every row, for those who ask.
    let largest: RowValues<Float>
    /// Whether all projections are finite numbers.
    let isFinite: Bool

    private let normalizes: Bool
    private let root: Double
    /// Projections over their lengths times the root of the scale: their dot products are the
    /// elements. Blocks are whole; rows past the last are zero.
    private let units: Arena
    private let lengths: [Double]
    /// The derivative of the loss by the units.
    private let slope: Arena
    private let team: Team
    private let tiles: Arena

    /// - Parameter normalizes: whether similarity is the cosine, else it is the dot product
    init(_ projections: Tensor, scale: Float, normalizes: Bool, threads: Int) {
        rows = projections.shape[0]
        dimension = projections.shape[1]
        precondition(rows >= 4 && rows % 2 == 0, "\(rows) rows are not two pairs of views or more")
        self.scale = scale
        block = min(512, max(16, (rows / 8).roundedUp(to: 16)))
        team = Team(threads: threads)
        let padded = rows.roundedUp(to: block)
        units = Arena(count: padded * dimension)
        slope = Arena(count: padded * dimension)
        tiles = Arena(count: threads * block * block)
        positives = RowValues(0, count: padded)
        largest = RowValues(-.infinity, count: padded)
        root = Double(scale).squareRoot()
        var lengths = [Double](repeating: 1, count: rows)
        var isFinite = true
        for row in 0..<rows {
            var squares = 0.0
            for i in row * dimension..<(row + 1) * dimension {
                squares += Double(projections.elements[i]) * Double(projections.elements[i])
            }
            isFinite = isFinite && squares.isFinite
            // As PyTorch's normalize, so that a row of zeros is no division by zero.
            if normalizes { lengths[row] = max(squares.squareRoot(), 1e-12) }
            for i in row * dimension..<(row + 1) * dimension {
                units.base[i] = Float(root * Double(projections.elements[i]) / lengths[row])
            }
        }
        self.lengths = lengths
        self.normalizes = normalizes
        self.isFinite = isFinite
    }

    /// The other view of a row.
    func pair(_ row: Int) -> Int { row < rows / 2 ? row + rows / 2 : row - rows / 2 }

    /// One value a row, that members of the team may write each for rows of its own.
    func perRow<Value>(_ value: Value) -> RowValues<Value> {
        RowValues(value, count: rows.roundedUp(to: block))
    }

    /// One sum a block of rows: added up at the end, the order of additions is always the same.
    func perBlock() -> RowValues<Double> { RowValues(0, count: rows.dividedRoundingUp(by: block)) }

    /// Shows every tile once, to be replaced by the derivative of the loss by its elements, which for
    /// a symmetric matrix is that by [i, j] plus that by [j, i]. `ofPositives` is the derivative by
    /// the pair of a row.
    func differentiate(ofPositives: RowValues<Float>, _ body: (Tile) -> Void) {
        visit { [self] tile in
            body(tile)
            for row in tile.rows {
                let start = tile.x + (row - tile.rows.lowerBound) * tile.width
                if tile.columns.contains(row) { start[row - tile.columns.lowerBound] = 0 }
                if tile.columns.contains(pair(row)) {
                    start[pair(row) - tile.columns.lowerBound] =
                        ofPositives[row] + ofPositives[pair(row)]
                }
            }
            let (i, j) = (tile.rows.lowerBound * dimension, tile.columns.lowerBound * dimension)
            MatrixProduct.multiply(
                tile.x, units.base + j, into: slope.base + i, rows: tile.rows.count,
                inner: tile.width, columns: dimension, beta: 1)
            guard !tile.isDiagonal else { return }
            MatrixProduct.multiply(
                tile.x, transposeA: true, units.base + i, into: slope.base + j,
                rows: tile.width, inner: tile.rows.count, columns: dimension, beta: 1)
        }
    }

    /// The derivative by the similarity of single pairs of rows, for losses that look at few.
    func differentiate(_ i: Int, _ j: Int, _ derivative: Float) {
        for k in 0..<dimension {
            slope.base[i * dimension + k] += derivative * units.base[j * dimension + k]
            slope.base[j * dimension + k] += derivative * units.base[i * dimension + k]
        }
    }

    /// The gradient of the projections from all that was differentiated; through the normalization
    /// z / |z| = u it is (du - u (u . du)) / |z|.
    func gradient() -> Tensor {
        var gradient = Tensor([rows, dimension])
        for row in 0..<rows {
            let (u, d) = (units.base + row * dimension, slope.base + row * dimension)
            var dot = 0.0
            if normalizes {
                for k in 0..<dimension { dot += Double(u[k]) * Double(d[k]) }
                dot /= Double(scale)
            }
            let factor = root / lengths[row]
            for k in 0..<dimension {
                gradient.elements[row * dimension + k] = Float(
                    factor * (Double(d[k]) - Double(u[k]) * dot))
            }
        }
        return gradient
    }

    /// Notes the largest similarity of every row apart from its pair.
    func noteLargest(_ tile: Tile) {
        let own = largest.base + tile.rows.lowerBound
        apus_tile_largest(
            tile.x, tile.rows.count, tile.width, own, largest.base + tile.columns.lowerBound)
    }

    /// The share of rows whose pair is nearer than every other row. Equal is not nearer: a network
    /// that makes everything the same recognizes nothing.
    var accuracy: Double {
        let nearest = (0..<rows).count { positives[$0] > largest[$0] }
        return Double(nearest) / Double(rows)
    }

    /// Shows every tile once; several at a time, none of which share a block.
    func visit(_ body: (Tile) -> Void) {
        let blocks = rows.dividedRoundingUp(by: block)
        EngineThread.shared.perform {
            team.configure()
            for round in SimilarityMatrix.rounds(blocks) {
                team.run { member in
                    for index in stride(from: member, to: round.count, by: team.threads) {
                        body(tile(round[index].0, round[index].1, member))
                    }
                }
            }
        }
    }

    private func tile(_ first: Int, _ second: Int, _ member: Int) -> Tile {
        let i = first * block..<min((first + 1) * block, rows)
        let j = second * block..<min((second + 1) * block, rows)
        let x = tiles.base + member * block * block
        MatrixProduct.multiply(
            units.base + i.lowerBound * dimension, units.base + j.lowerBound * dimension,
            transposeB: true, into: x, rows: i.count, inner: dimension, columns: block)
        for row in i {
            let start = x + (row - i.lowerBound) * block
            for column in j.count..<block { start[column] = -.infinity }
            if j.contains(row) { start[row - j.lowerBound] = -.infinity }
            let other = pair(row)
            guard j.contains(other) else { continue }
            positives[row] = start[other - j.lowerBound]
            positives[other] = positives[row]
            start[other - j.lowerBound] = -.infinity
        }
        return Tile(rows: i, columns: j, x: x, width: block)
    }

    /// All pairs (i, j), i <= j, of `count` blocks; no block is twice in a round.
    package static func rounds(_ count: Int) -> [[(Int, Int)]] {
        let players = count + count % 2
        var rounds = [(0..<count).map { ($0, $0) }]
        for round in 0..<max(players - 1, 0) {
            // The last stays, the others move on around the table.
            let seats = (0..<players - 1).map { ($0 + round) % (players - 1) } + [players - 1]
            let pairs = (0..<players / 2).map { seat in
                (seats[seat], seats[players - 1 - seat])
            }
            rounds.append(
                pairs.map { (min($0, $1), max($0, $1)) }.filter { $0.1 < count })
        }
        return rounds
    }
}

/// One value a row, at a fixed place in memory.
final class RowValues<Value> {
    let base: UnsafeMutablePointer<Value>
    let count: Int

    init(_ value: Value, count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: value, count: count)
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    subscript(row: Int) -> Value {
        get { base[row] }
        set { base[row] = newValue }
    }
}

extension RowValues<Double> {
    /// The sum of all, in order.
    var sum: Double { (0..<count).reduce(0) { $0 + base[$1] } }
}
