import ApusRuntime
import ApusTensor
import Foundation

/// Places vectors in the plane so that neighbors stay neighbors: t-SNE (van der Maaten and Hinton
/// 2008), for up to some thousands of vectors.
///
/// Attraction is between the 3 x perplexity nearest neighbors, as in the Barnes-Hut variant (van der
/// Maaten 2014); repulsion is between all pairs, exactly. The vectors start at their first two
/// principal components (Kobak and Berens 2019), so the map is the same every time, for any number
/// of threads.
public struct NeighborMap: Sendable {
    /// About how many neighbors a vector has.
    public var perplexity = 30.0
    public var iterations = 750
    public var threads = Machine.cores
    /// Iterations in which neighbors attract each other twelvefold, to gather clusters.
    private static let early = 250
    private static let exaggeration: Float = 12

    public init() {}

    /// Coordinates [rows, 2] of vectors [rows, features]; at least 3 rows.
    ///
    /// `shouldStop` is asked in every iteration; when it says yes, a `CancellationError` is thrown.
    public func place(
        _ vectors: Tensor, progress: (Int) -> Void = { _ in }, shouldStop: () -> Bool = { false }
    ) throws -> Tensor {
        let count = vectors.shape[0]
        guard count >= 3 else {
            throw TrainingError("a map of neighbors needs at least 3 images, not \(count)")
        }
        let attraction = Attraction(
            vectors, perplexity: min(perplexity, Double(count - 1) / 3), threads: threads)
        var forces = Forces(start(vectors))
        let rate = max(Float(count) / Self.exaggeration / 4, 50)
        for iteration in 0..<iterations {
            if shouldStop() { throw CancellationError() }
            let isEarly = iteration < min(Self.early, iterations / 3)
            forces.step(
                attraction, exaggeration: isEarly ? Self.exaggeration : 1, rate: rate,
                momentum: isEarly ? 0.5 : 0.8, threads: threads)
            progress(iteration + 1)
        }
        return Tensor([count, 2], zip(forces.x, forces.y).flatMap { [$0, $1] })
    }

    /// The first two components, with a deviation of 1e-4 along the first.
    private func start(_ vectors: Tensor) -> (x: [Float], y: [Float]) {
        let components = PrincipalComponents(vectors, count: 2)
        let places = components.project(vectors)
        let width = places.shape[1]
        let deviation = Float(components.variances[0].squareRoot())
        let factor = deviation > 0 ? 1e-4 / deviation : 0
        return (
            (0..<vectors.shape[0]).map { places.elements[$0 * width] * factor },
            (0..<vectors.shape[0]).map { width > 1 ? places.elements[$0 * width + 1] * factor : 0 }
        )
    }
}

/// Who attracts whom and how strongly: row by row, symmetric, with a sum of 1.
private struct Attraction {
    var rows: [[(index: Int, weight: Float)]]

    init(_ vectors: Tensor, perplexity: Double, threads: Int) {
        let count = vectors.shape[0]
        let neighborCount = min(count - 1, max(2, Int(3 * perplexity)))
        // Cosines order unit vectors as distances do: |a - b|^2 = 2 - 2 cos.
        let found = NearestNeighbors(vectors, threads: threads)
            .nearest(neighborCount + 1, to: vectors)
        var weights = [[Int: Double]](repeating: [:], count: count)
        for (row, neighbors) in found.enumerated() {
            let others = neighbors.filter { $0.index != row }.prefix(neighborCount)
            let distances = others.map { max(0, 2 - 2 * Double($0.similarity)) }
            for (other, share) in zip(others, Self.shares(distances, perplexity: perplexity)) {
                weights[row][other.index, default: 0] += share / Double(2 * count)
                weights[other.index][row, default: 0] += share / Double(2 * count)
            }
        }
        rows = weights.map { row in
            row.sorted { $0.key < $1.key }.map { ($0.key, Float($0.value)) }
        }
    }

    /// Gaussian weights with a sum of 1, whose width makes exp(entropy) the perplexity, by bisection.
    private static func shares(_ distances: [Double], perplexity: Double) -> [Double] {
        let nearest = distances.min() ?? 0
        let target = log(perplexity)
        var (low, high) = (0.0, Double.infinity)
        var precision = 1.0
        var shares: [Double] = []
        for _ in 0..<100 {
            let powers = distances.map { exp(-precision * ($0 - nearest)) }
            let sum = powers.reduce(0, +)
            shares = powers.map { $0 / sum }
            let entropy = -shares.reduce(0) { $0 + ($1 > 0 ? $1 * log($1) : 0) }
            if abs(entropy - target) < 1e-5 { break }
            if entropy > target { low = precision } else { high = precision }
            precision = high.isFinite ? (low + high) / 2 : precision * 2
            if precision > 1e12 { break }
        }
        return shares
    }
}

/// The places and what moves them.
private struct Forces {
    var x: [Float]
    var y: [Float]
    private let count: Int
    private var velocityX: [Float]
    private var velocityY: [Float]
    private var gainX: [Float]
    private var gainY: [Float]
    /// Per point: the pull of neighbors, the push of all others, and its share of their sum.
    private var sums: [(pullX: Float, pullY: Float, pushX: Float, pushY: Float, weight: Float)]

    private typealias Lanes = SIMD16<Float>

    init(_ start: (x: [Float], y: [Float])) {
        count = start.x.count
        x = start.x
        y = start.y
        let zeros = [Float](repeating: 0, count: count)
        velocityX = zeros
        velocityY = zeros
        gainX = zeros.map { _ in 1 }
        gainY = gainX
        sums = zeros.map { _ in (0, 0, 0, 0, 0) }
    }

    mutating func step(
        _ attraction: Attraction, exaggeration: Float, rate: Float, momentum: Float, threads: Int
    ) {
        measure(attraction, threads: threads)
        let total = Float(sums.reduce(0.0) { $0 + Double($1.weight) })
        for i in 0..<count {
            let s = sums[i]
            let gradientX = 4 * (exaggeration * s.pullX - s.pushX / total)
            let gradientY = 4 * (exaggeration * s.pullY - s.pushY / total)
            Self.move(&x[i], &velocityX[i], &gainX[i], gradientX, rate, momentum)
            Self.move(&y[i], &velocityY[i], &gainY[i], gradientY, rate, momentum)
        }
    }

    /// Momentum, with a gain that grows while the direction stays (Jacobs 1988).
    private static func move(
        _ place: inout Float, _ velocity: inout Float, _ gain: inout Float, _ gradient: Float,
        _ rate: Float, _ momentum: Float
    ) {
        let isOpposed = gradient * velocity < 0
        gain = max(0.01, isOpposed ? gain + 0.2 : gain * 0.8)
        velocity = momentum * velocity - rate * gain * gradient
        place += velocity
    }

    private mutating func measure(_ attraction: Attraction, threads: Int) {
        // Lanes beyond the last point lie so far away that they push nobody.
        let padded = count.roundedUp(to: Lanes.scalarCount)
        let far = [Float](repeating: 1e18, count: padded - count)
        let (px, py) = (x + far, y + far)
        let count = count
        sums.withUnsafeMutableBufferPointer { sums in
            px.withUnsafeBufferPointer { px in
                py.withUnsafeBufferPointer { py in
                    EngineThread.shared.perform {
                        let team = Team(threads: threads)
                        team.configure()
                        team.split(count) { begin, end in
                            for i in begin..<end {
                                sums[i] = Self.sum(i, px, py, attraction.rows[i])
                            }
                        }
                    }
                }
            }
        }
    }

    private static func sum(
        _ i: Int, _ px: UnsafeBufferPointer<Float>, _ py: UnsafeBufferPointer<Float>,
        _ neighbors: [(index: Int, weight: Float)]
    ) -> (pullX: Float, pullY: Float, pushX: Float, pushY: Float, weight: Float) {
        var pull = SIMD2<Float>(0, 0)
        for (j, weight) in neighbors {
            let d = SIMD2(px[i] - px[j], py[i] - py[j])
            pull += weight / (1 + d.x * d.x + d.y * d.y) * d
        }
        let (xs, ys) = (UnsafeRawBufferPointer(px), UnsafeRawBufferPointer(py))
        let (hereX, hereY) = (Lanes(repeating: px[i]), Lanes(repeating: py[i]))
        var (pushX, pushY, weights) = (
            Lanes(repeating: 0), Lanes(repeating: 0), Lanes(repeating: 0)
        )
        for offset in stride(from: 0, to: xs.count, by: MemoryLayout<Lanes>.size) {
            let dx = hereX - xs.loadUnaligned(fromByteOffset: offset, as: Lanes.self)
            let dy = hereY - ys.loadUnaligned(fromByteOffset: offset, as: Lanes.self)
            let q = 1 / (1 + dx * dx + dy * dy)
            weights += q
            pushX += q * q * dx
            pushY += q * q * dy
        }
        // A point is at no distance from itself, with the weight 1.
        return (pull.x, pull.y, pushX.sum(), pushY.sum(), weights.sum() - 1)
    }
}
