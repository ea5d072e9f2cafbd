import ApusRuntime
import ApusTensor
import Foundation

/// Finds the vectors of a set that are most alike to others, by the cosine of their angle.
///
/// Similarities are computed in tiles, so memory does not grow with queries times vectors; every
/// query is dealt with on one thread, so results do not depend on the number of threads. The rows
/// of vectors that are zero are like nothing: their cosine is 0.
public struct NearestNeighbors: Sendable {
    public let count: Int
    public let width: Int
    private let vectors: Arena
    private let threads: Int

    /// Keeps a copy of `vectors` [count, width] with unit lengths.
    public init(_ vectors: Tensor, threads: Int = Machine.cores) {
        count = vectors.shape[0]
        width = vectors.shape[1]
        self.vectors = Self.normalized(vectors)
        self.threads = threads
    }

    /// A vector that was found.
    public struct Neighbor: Hashable, Sendable {
        /// Its position in the set.
        public var index: Int
        /// The cosine, in -1...1.
        public var similarity: Float
    }

    private static let queryTile = 64
    private static let vectorTile = 2048

    /// The `k` most alike vectors of each query [queries, width], the most alike first; of equally
    /// alike ones the one that stands first.
    public func nearest(_ k: Int, to queries: Tensor) -> [[Neighbor]] {
        precondition(queries.shape[1] == width, "\(queries.shape[1]) features for \(width)")
        let queryCount = queries.shape[0]
        let rows = Self.normalized(queries)
        let tiles = (queryCount + Self.queryTile - 1) / Self.queryTile
        var results = [[Neighbor]](repeating: [], count: queryCount)
        results.withUnsafeMutableBufferPointer { results in
            EngineThread.shared.perform {
                let team = Team(threads: threads)
                team.configure()
                team.split(tiles) { begin, end in
                    let scores = Arena(count: Self.queryTile * Self.vectorTile)
                    for tile in begin..<end {
                        let first = tile * Self.queryTile
                        let last = min(first + Self.queryTile, queryCount)
                        search(rows, first..<last, k, scores, results)
                    }
                }
            }
        }
        return results
    }

    private func search(
        _ queries: Arena, _ range: Range<Int>, _ k: Int, _ scores: Arena,
        _ results: UnsafeMutableBufferPointer<[Neighbor]>
    ) {
        var best = range.map { _ in BestNeighbors(k) }
        for start in stride(from: 0, to: count, by: Self.vectorTile) {
            let columns = min(Self.vectorTile, count - start)
            MatrixProduct.multiply(
                queries.base + range.lowerBound * width, vectors.base + start * width,
                transposeB: true, into: scores.base, rows: range.count, inner: width,
                columns: columns)
            for row in best.indices {
                best[row].add(scores.base + row * columns, columns, firstIndex: start)
            }
        }
        for (row, index) in range.enumerated() { results[index] = best[row].sorted }
    }

    private static func normalized(_ vectors: Tensor) -> Arena {
        let (count, width) = (vectors.shape[0], vectors.shape[1])
        let arena = Arena(count: count * width)
        vectors.elements.withUnsafeBufferPointer { x in
            for row in 0..<count {
                var squares = 0.0
                for i in row * width..<(row + 1) * width { squares += Double(x[i]) * Double(x[i]) }
                let factor = squares > 0 ? Float(1 / squares.squareRoot()) : 0
                for i in row * width..<(row + 1) * width { arena.base[i] = x[i] * factor }
            }
        }
        return arena
    }
}

/// The best of many, in no order until asked.
private struct BestNeighbors {
    private let limit: Int
    private var kept: [NearestNeighbors.Neighbor] = []
    /// What a vector must exceed to be kept.
    private var threshold = -Float.infinity

    init(_ limit: Int) { self.limit = limit }

    mutating func add(_ scores: UnsafePointer<Float>, _ count: Int, firstIndex: Int) {
        for i in 0..<count where scores[i] > threshold {
            kept.append(.init(index: firstIndex + i, similarity: scores[i]))
            // Cut now and then: sorting twice as many costs less than a heap for each.
            if kept.count >= 2 * limit { cut() }
        }
    }

    private mutating func cut() {
        kept = Array(sorted)
        if kept.count >= limit, let last = kept.last { threshold = last.similarity }
    }

    var sorted: [NearestNeighbors.Neighbor] {
        Array(
            kept.sorted { ($1.similarity, $0.index) < ($0.similarity, $1.index) }.prefix(limit))
    }
}

/// Classifies by the votes of the nearest neighbors, each with the weight exp(cosine / temperature)
/// (Wu et al. 2018). There is nothing to fit and nothing to choose: k = 200 and t = 0.1 as in
/// SimCLR's successors on small images; the paper's own temperature is 0.07.
public struct WeightedNeighbors: Sendable {
    public var k = 200
    public var temperature = 0.1
    private let neighbors: NearestNeighbors
    private let labels: [Int32]
    private let classes: Int

    public init(_ data: LabelledFeatures, threads: Int = Machine.cores) {
        neighbors = NearestNeighbors(data.features, threads: threads)
        labels = data.labels
        classes = data.classes
    }

    /// The class of every row of `features` [images, width].
    public func classify(_ features: Tensor) -> [Int32] {
        neighbors.nearest(min(k, neighbors.count), to: features).map { found in
            var votes = [Double](repeating: 0, count: classes)
            // The largest power is 1: a small temperature must not overflow.
            let largest = Double(found.first?.similarity ?? 0)
            for neighbor in found {
                votes[Int(labels[neighbor.index])] +=
                    exp((Double(neighbor.similarity) - largest) / temperature)
            }
            return Int32(votes.indices.max { votes[$0] < votes[$1] } ?? 0)
        }
    }

    /// The share of images that are given their own class.
    public func accuracy(_ data: LabelledFeatures) -> Double {
        let found = classify(data.features)
        return Double(zip(found, data.labels).count { $0 == $1 }) / Double(data.count)
    }
}
