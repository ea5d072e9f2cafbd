import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation
import Testing

/// Pointwise operations, matrices and losses against values known from elsewhere.
@Suite struct KnownAnswerTests {
    @Test(arguments: [
        (ActivationFunction.relu, [-2.0, 3], [0.0, 3]),
        (.relu6, [-2, 3, 7], [0, 3, 6]),
        (.leakyReLU(slope: 0.5), [-2, 3], [-1, 3]),
        (.sigmoid, [0, 1, -800], [0.5, 0.731_058_578_630_004_9, 0]),
        (.tanh, [0.5, -800], [0.462_117_157_260_009_73, -1]),
        (.silu, [1, -1], [0.731_058_578_630_004_9, -0.268_941_421_369_995_1]),
        (.gelu, [1, -2, 0], [0.841_344_746_068_543, -0.045_500_263_896_358_42, 0]),
    ])
    func activation(function: ActivationFunction, x: [Double], expected: [Double]) throws {
        let y = try evaluate(.activation(function), ([1, x.count], x))
        #expect(isClose(y[0], expected))
    }

    @Test func geluKeepsItsDigitsFarBelowZero() throws {
        let y = try evaluate(.activation(.gelu), ([1, 1], [-10]))
        #expect(abs(y[0][0] / -7.619_853_024_160_527e-23 - 1) < 1e-12)
    }

    @Test(arguments: [
        (false, false, [19.0, 22, 43, 50]), (true, false, [26, 30, 38, 44]),
        (false, true, [17, 23, 39, 53]), (true, true, [23, 31, 34, 46]),
    ])
    func matmul(transposeA: Bool, transposeB: Bool, expected: [Double]) throws {
        let c = try evaluate(
            .matmul(transposeA: transposeA, transposeB: transposeB), ([2, 2], [1, 2, 3, 4]),
            ([2, 2], [5, 6, 7, 8]))
        #expect(c == [expected])
    }

    @Test func matricesNeedNotBeSquare() throws {
        let c = try evaluate(
            .matmul(transposeA: false, transposeB: false), ([1, 3], [1, 2, 3]),
            ([3, 2], [1, 10, 2, 20, 3, 30]))
        #expect(c == [[14, 140]])
    }

    @Test func rowsAreBiasedAndSummed() throws {
        let x: (Shape, [Double]) = ([2, 3], [1, 2, 3, 4, 5, 6])
        #expect(try evaluate(.addBias, x, ([3], [10, 20, 30])) == [[11, 22, 33, 14, 25, 36]])
        #expect(try evaluate(.sumRows, x) == [[5, 7, 9]])
        #expect(try evaluate(.add, x, x) == [[2, 4, 6, 8, 10, 12]])
    }

    @Test func softmaxDoesNotOverflow() throws {
        let logits: [Double] = [0, log(2), log(5)]
        let y = try evaluate(.softmax, ([2, 3], logits + logits.map { $0 + 1000 }))
        #expect(isClose(y[0], [0.125, 0.25, 0.625, 0.125, 0.25, 0.625]))
    }

    /// Both rows have the probabilities 1/4 and 3/4.
    static let logits: (Shape, [Double]) = ([2, 2], [0, log(3), 1000, 1000 + log(3)])
    static let labels: (Shape, [Double]) = ([2], [0, 1])

    @Test func crossEntropyIsTheMeanSurprise() throws {
        let y = try evaluate(.crossEntropy(smoothing: 0), Self.logits, Self.labels)
        #expect(isClose(y[0], [(log(4) + log(4.0 / 3)) / 2]))
        #expect(isClose(y[1], [0.25, 0.75, 0.25, 0.75]))
    }

    @Test func smoothingMovesTargetsTowardsAllClasses() throws {
        // Targets of (3/4, 1/4) and (1/4, 3/4).
        let y = try evaluate(.crossEntropy(smoothing: 0.5), Self.logits, Self.labels)
        #expect(isClose(y[0], [(log(4) + log(4.0 / 3)) / 2]))
        let same = try evaluate(.crossEntropy(smoothing: 0.5), Self.logits, ([2], [1, 1]))
        #expect(isClose(same[0], [0.25 * log(4) + 0.75 * log(4.0 / 3)]))
        let gradient = try evaluate(
            .crossEntropyGradient(smoothing: 0.5), ([2, 2], y[1]), Self.labels, ([1], [2]))
        #expect(isClose(gradient[0], [-0.5, 0.5, 0, 0]))
    }

    // MARK: - Random masks

    private func drop(_ op: Op, _ shape: Shape, key: RandomKey) throws -> [Double] {
        var net = TestNetwork()
        let x = net.input("x", shape, .given([Double](repeating: 1, count: shape.count)))
        let y = try net.append(op, x)
        return ReferenceExecutor(net.builder.graph).run(net.sources, randomKey: key)[y] ?? []
    }

    @Test func dropoutIsAFunctionOfItsKeys() throws {
        let op = Op.dropout(rate: 0.75, key: .max)
        let key = RandomKey(seed: 2)
        let y = try drop(op, [10, 1000], key: key)
        let mask = key.child(-1)
        #expect(y == (0..<10_000).map { mask.uniform(at: $0) >= 0.75 ? 4 : 0 })
        #expect(abs(y.reduce(0, +) / 10_000 - 1) < 0.06)
        #expect(y != (try drop(op, [10, 1000], key: RandomKey(seed: 3))))
        #expect(y != (try drop(.dropout(rate: 0.75, key: 1), [10, 1000], key: key)))
    }

    @Test func stochasticDepthDropsWholeSamples() throws {
        let key = RandomKey(seed: 2)
        let y = try drop(.stochasticDepth(rate: 0.5, key: 9), [16, 2, 1, 3], key: key)
        let mask = key.child(9)
        #expect(y == (0..<96).map { mask.uniform(at: $0 / 6) >= 0.5 ? 2 : 0 })
        #expect(Set(y) == [0, 2])
    }

    // MARK: - Sources

    @Test func constantsFillTheirShape() throws {
        var net = TestNetwork()
        let logits = try net.parameter("logits", [1, 2], .given([0, 0]))
        let labels = net.input("labels", [1], .given([0]))
        net.builder.output("loss", try net.append(.crossEntropy(smoothing: 0), logits, labels))
        let graph = try net.builder.graph.differentiated()
        let values = ReferenceExecutor(graph).run(net.sources)
        #expect(graph.gradients["logits"].flatMap { values[$0] } == [-0.5, 0.5])
    }

    @Test func theFormulaRoundsToStoredPrecision() {
        let values = ReferenceFormula.values("bn1.running_var", shape: [1000])
        #expect(values.allSatisfy { (1..<1.5).contains($0) && Double(Float($0)) == $0 })
        #expect(ReferenceFormula.input([2, 3]).allSatisfy { (-1..<1).contains($0) })
        let brief = TensorBrief([5], [3, 4, 0, 0, -2])
        #expect(brief.first == [3, 4, 0, 0])
        #expect(brief.sum == 5)
        #expect(brief.l2 == 29.0.squareRoot())
    }
}
