import ApusRuntime
import ApusTensor
import Foundation
import Testing

import ApusTraining

@Suite struct ContrastiveLossTests {
    private struct Reference: Decodable {
        let loss: String
        let pairs: Int
        let dimension: Int
        let temperature_or_margin: Float?
        let value: Double
        let gradient: TensorBrief

        var own: ContrastiveLoss? {
            temperature_or_margin.flatMap { value in
                switch loss {
                case "nt-xent": .ntXent(temperature: value)
                case "nt-logistic": .ntLogistic(temperature: value)
                case "margin": .margin(value)
                default: nil
                }
            }
        }
    }

    private static func signed(_ name: String, _ shape: Shape) -> Tensor {
        let key = RandomKey(state: RandomKey.hash(name))
        return Tensor(shape, (0..<shape.count).map { 2 * key.uniform(at: $0) - 1 })
    }

    private static func rows(_ tensor: Tensor) -> [[Double]] {
        let columns = tensor.shape[1]
        return (0..<tensor.shape[0]).map { row in
            tensor.elements[row * columns..<(row + 1) * columns].map(Double.init)
        }
    }

    private func expect(
        _ gradient: Tensor, _ expected: TensorBrief, _ context: String
    ) {
        let own = TensorBrief(gradient.shape, gradient.elements.map(Double.init))
        #expect(own.shape == expected.shape)
        #expect(abs(own.l2 - expected.l2) < 1e-5 * expected.l2, "\(context): l2")
        let size = expected.l2 / Double(gradient.shape.count).squareRoot()
        #expect(abs(own.sum - expected.sum) < 1e-5 * expected.l2, "\(context): sum")
        for (a, b) in zip(own.first, expected.first) {
            #expect(abs(a - b) < 1e-5 * max(abs(b), size), "\(context): \(a) for \(b)")
        }
    }

    /// All of the reference file, computed by PyTorch in 64 bits.
    @Test(arguments: [1, 2]) func referenceValuesAndGradients(threads: Int) throws {
        let all = try JSONDecoder().decode([Reference].self, from: fixture("losses.json"))
        #expect(all.count == 27)
        for reference in all {
            let (n, d) = (reference.pairs, reference.dimension)
            let context = "\(reference.loss) \(n)x\(d) \(reference.temperature_or_margin ?? 0)"
            let value: Double
            let gradient: Tensor
            if reference.loss == "byol" {
                (value, gradient) = RegressionLoss.evaluate(
                    Self.signed("online-\(n)x\(d)", [n, d]),
                    Self.signed("target-\(n)x\(d)", [n, d]))
            } else {
                let loss = try #require(reference.own, "\(context)")
                let result = loss(
                    Self.signed("projection-\(n)x\(d)", [2 * n, d]), threads: threads)
                (value, gradient) = (result.loss, result.gradient)
            }
            #expect(
                abs(value - reference.value) < 1e-5 * reference.value,
                "\(context): \(value) for \(reference.value)")
            expect(gradient, reference.gradient, context)
        }
    }

    static let losses: [ContrastiveLoss] = [
        .ntXent(temperature: 0.07), .ntXent(temperature: 1), .ntLogistic(temperature: 0.2),
        .margin(0.4), .semiHard(margin: 0.6), .supervised(temperature: 0.3),
    ]

    /// Of sizes that do not fill blocks: one block, several, an odd number of them.
    @Test(arguments: losses, [(2, 3), (13, 7), (40, 5), (67, 18)])
    func gradientsAreThoseOfTheFormula(loss: ContrastiveLoss, size: (Int, Int)) {
        let z = Self.signed("any \(size)", [2 * size.0, size.1])
        let labels = (0..<size.0).map { Int32($0 * $0 % 5) }
        for normalizes in [true, false] {
            let oracle = LossOracle(loss: loss, labels: labels, normalizes: normalizes)
            let rows = Self.rows(z)
            let result = loss(z, labels: labels, normalizes: normalizes, threads: 2)
            let expected = oracle(rows)
            #expect(abs(result.loss - expected) < 1e-5 * max(abs(expected), 0.1), "\(loss)")
            // Differences of a sum over everything are slow: a few rows show as much as all.
            let some = [0, size.0 - 1, size.0, 2 * size.0 - 1]
            for i in some {
                for k in 0..<size.1 {
                    var (up, down) = (rows, rows)
                    up[i][k] += 1e-6
                    down[i][k] -= 1e-6
                    let slope = (oracle(up) - oracle(down)) / 2e-6
                    let own = Double(result.gradient.elements[i * size.1 + k])
                    let scale = max(abs(slope), 1 / Double(size.0))
                    #expect(abs(own - slope) < 2e-4 * scale, "\(loss) \(i) \(k)")
                }
            }
        }
    }

    @Test(arguments: losses) func threadsDoNotMatter(loss: ContrastiveLoss) {
        let z = Self.signed("threads", [300, 24])
        let labels = (0..<150).map { Int32($0 % 7) }
        let results = [1, 2, 3].map { loss(z, labels: labels, threads: $0) }
        let isSame = results[1] == results[0] && results[2] == results[0]
        #expect(isSame)
    }

    /// Every pair of blocks is met exactly once, and no block twice in a round.
    @Test(arguments: 1...9) func roundsCoverAllTiles(count: Int) {
        let rounds = SimilarityMatrix.rounds(count)
        var seen = Set<[Int]>()
        for (index, round) in rounds.enumerated() {
            for (i, j) in round {
                #expect(i <= j && seen.insert([i, j]).inserted)
            }
            let blocks = round.flatMap { index == 0 ? [$0.0] : [$0.0, $0.1] }
            #expect(Set(blocks).count == blocks.count)
        }
        #expect(seen.count == count * (count + 1) / 2)
    }

    // MARK: What fails silently elsewhere

    /// A row's similarity with itself is masked: with everything orthogonal but the pairs, nothing of
    /// it, e^(1/t) here, reaches the loss or the gradient.
    @Test func selfSimilarityTakesNoPart() {
        let pairs = 8
        var z = Tensor([2 * pairs, pairs])
        for row in 0..<2 * pairs { z.elements[row * pairs + row % pairs] = 3 }
        let result = ContrastiveLoss.ntXent(temperature: 0.5)(z)
        // The pair at 1, the 2N - 2 negatives at 0.
        let expected = log(exp(2.0) + Double(2 * pairs - 2)) - 2
        #expect(abs(result.loss - expected) < 1e-6)
        #expect(result.accuracy == 1)
        // A row along its own unit has no gradient towards itself.
        for row in 0..<2 * pairs {
            let own = z.elements.indices.filter { $0 / pairs == row && z.elements[$0] > 0 }
            for index in own { #expect(abs(result.gradient.elements[index]) < 1e-7) }
        }
    }

    @Test(arguments: [Float(0.01), 0.002]) func smallTemperaturesDoNotOverflow(t: Float) {
        var z = Self.signed("cold", [64, 16])
        // Perfect pairs and one row that is like many others.
        for i in 0..<32 * 16 { z.elements[32 * 16 + i] = z.elements[i] }
        for row in 0..<20 { for k in 0..<16 { z.elements[row * 16 + k] = z.elements[k] } }
        let result = ContrastiveLoss.ntXent(temperature: t)(z)
        let expected = LossOracle(loss: .ntXent(temperature: t))(Self.rows(z))
        #expect(abs(result.loss - expected) < 1e-4 * expected)
        #expect(result.gradient.elements.allSatisfy { $0.isFinite })
        // All the same: the loss of guessing, and no similarity counts as recognition.
        let same = ContrastiveLoss.ntXent(temperature: t)(Tensor([64, 16], repeating: 0.3))
        #expect(abs(same.loss - log(63.0)) < 1e-4)
        #expect(same.accuracy == 0)
    }

    /// Rows i and i + N belong together, no others: exchanging views changes nothing, exchanging
    /// images does.
    @Test func pairsAreHalvesOfTheBatch() {
        let half = Self.signed("half", [24, 8]).elements
        let loss = ContrastiveLoss.ntXent(temperature: 0.1)
        let matching = loss(Tensor([48, 8], half + half))
        #expect(matching.accuracy == 1)
        var neighbours: [Float] = []
        for row in 0..<24 {
            let one = half[row * 8..<row * 8 + 8]
            neighbours += one
            neighbours += one
        }
        let interleaved = loss(Tensor([48, 8], neighbours))
        #expect(interleaved.accuracy < 0.1)
        #expect(interleaved.loss > matching.loss + 1)
        let noise = Self.signed("noise", [24, 8]).elements
        let forth = loss(Tensor([48, 8], half + noise))
        let back = loss(Tensor([48, 8], noise + half))
        #expect(abs(forth.loss - back.loss) < 1e-6)
    }

    /// The largest similarity only scales sums: a gradient through it would not be that of the formula
    /// where one negative is nearer than everything else.
    @Test func theLargestCarriesNoGradient() {
        var z = Self.signed("largest", [12, 6])
        for k in 0..<6 { z.elements[6 + k] = z.elements[k] * 1.01 }
        let loss = ContrastiveLoss.ntXent(temperature: 0.05)
        let slopes = LossOracle(loss: loss).gradient(Self.rows(z)).flatMap(\.self)
        let own = loss(z).gradient.elements
        let size = slopes.map(abs).max() ?? 1
        for (a, b) in zip(own, slopes) { #expect(abs(Double(a) - b) < 1e-4 * size) }
    }

    @Test func whatIsNoNumberIsSaid() {
        var z = Self.signed("bad", [16, 4])
        z.elements[9] = .infinity
        for loss in Self.losses {
            #expect(loss(z, labels: [Int32](repeating: 0, count: 8)).loss.isNaN)
        }
    }

    @Test func regressionIsThatOfTheFormula() {
        let (p, t) = (Self.signed("p", [5, 6]), Self.signed("t", [5, 6]))
        for normalizes in [true, false] {
            func value(_ p: Tensor) -> Double {
                var sum = 0.0
                for (a, b) in zip(Self.rows(p), Self.rows(t)) {
                    let u = normalizes ? LossOracle.unit(a) : a
                    let v = normalizes ? LossOracle.unit(b) : b
                    for (x, y) in zip(u, v) { sum += (x - y) * (x - y) }
                }
                return sum / 5
            }
            let result = RegressionLoss.evaluate(p, t, normalizes: normalizes)
            #expect(abs(result.loss - value(p)) < 1e-6)
            for i in p.elements.indices {
                var (up, down) = (p, p)
                up.elements[i] += 1.0 / 1024
                down.elements[i] -= 1.0 / 1024
                let slope = (value(up) - value(down)) * 512
                #expect(abs(Double(result.gradient.elements[i]) - slope) < 1e-4)
            }
        }
    }
}
