import ApusTensor
import ApusTraining
import Foundation
import Testing

/// Noisy vectors around one center a class, far from the origin.
func clusters(
    count: Int, width: Int = 6, classes: Int = 3, noise: Float = 0.5, name: String = "train"
) throws -> LabelledFeatures {
    let centers = RandomKey(seed: 1).child("centers")
    let key = RandomKey(seed: 1).child(name)
    var elements: [Float] = []
    for row in 0..<count {
        for i in 0..<width {
            let center = centers.uniform(in: -1...1, at: row % classes * width + i)
            elements.append(20 + center + noise * key.child(row).uniform(in: -1...1, at: i))
        }
    }
    return try LabelledFeatures(
        Tensor([count, width], elements), labels: (0..<count).map { Int32($0 % classes) },
        classes: classes)
}

@Suite struct LinearProbeTests {
    @Test func findsClassesThatCanBeSeparated() throws {
        var probe = LinearProbe()
        probe.threads = 1
        let fit = try probe.fit(clusters(count: 600, noise: 0.2))
        #expect(fit.heldOutAccuracy == 1 && fit.trainAccuracy == 1)
        #expect(try fit.classifier.accuracy(clusters(count: 300, noise: 0.2, name: "test")) == 1)
        #expect(LinearProbe.penalties.contains(fit.penalty))
    }

    /// The objective is convex, so it is enough that the gradient vanishes, computed here in 64 bits
    /// from the definition.
    @Test(arguments: [1e-2, 1, 100.0])
    func matchesTheOptimumInDoublePrecision(penalty: Double) throws {
        let data = try clusters(count: 700, noise: 2)
        var probe = LinearProbe()
        probe.threads = 2
        let classifier = try probe.fit(data, penalty: penalty)
        let width = data.width
        var weightGradient = classifier.weights.elements.map { penalty * Double($0) }
        var biasGradient = [Double](repeating: 0, count: data.classes)
        for row in 0..<data.count {
            let x = (0..<width).map { i in
                (Double(data.features.elements[row * width + i])
                    - Double(classifier.scaling.mean[i])) * Double(classifier.scaling.factor)
            }
            var scores = (0..<data.classes).map { k in
                (0..<width).reduce(Double(classifier.biases[k])) {
                    $0 + Double(classifier.weights.elements[k * width + $1]) * x[$1]
                }
            }
            let sum = scores.reduce(0) { $0 + exp($1) }
            scores = scores.map { exp($0) / sum }
            scores[Int(data.labels[row])] -= 1
            for k in 0..<data.classes {
                biasGradient[k] += scores[k]
                for i in 0..<width { weightGradient[k * width + i] += scores[k] * x[i] }
            }
        }
        let largest = (weightGradient + biasGradient).map { abs($0) / Double(data.count) }.max()
        #expect(try #require(largest) < 5e-5)
    }

    @Test func doesNotDependOnThreads() throws {
        let data = try clusters(count: 1500, noise: 1)
        var probe = LinearProbe()
        probe.threads = 1
        let one = try probe.fit(data)
        probe.threads = 3
        #expect(try probe.fit(data) == one)
        #expect(one.heldOutAccuracy > 0.6 && one.heldOutAccuracy < 1)
    }

    /// Labels that have nothing to do with the features ask for the strongest of equal penalties,
    /// and are not learned by heart.
    @Test func choosesAPenaltyThatGeneralizes() throws {
        let key = RandomKey(seed: 8)
        let noise = try LabelledFeatures(
            Tensor([200, 60], (0..<12_000).map { key.uniform(in: -1...1, at: $0) }),
            labels: (0..<200).map { Int32(key.child("label").integer(below: 2, at: $0)) },
            classes: 2)
        var probe = LinearProbe()
        probe.heldOutShare = 0.5
        let fit = try probe.fit(noise)
        #expect(fit.heldOutAccuracy < 0.7)
        let best = fit.candidates.map(\.accuracy).max()
        #expect(fit.candidates.first { $0.accuracy == best }?.penalty == fit.penalty)
    }

    @Test func namesWhatIsWrongWithFeatures() throws {
        let values = Tensor([2, 2], [1, 2, 3, .nan])
        #expect(
            message { _ = try LabelledFeatures(values, labels: [0, 1], classes: 2) }
                .contains("image 1 are not finite"))
        let fine = Tensor([2, 2], [1, 2, 3, 4])
        #expect(
            message { _ = try LabelledFeatures(fine, labels: [0], classes: 2) }
                .contains("1 labels for 2 images"))
        #expect(
            message { _ = try LabelledFeatures(fine, labels: [0, 2], classes: 2) }
                .contains("label 2 of 2"))
        #expect(
            message {
                let data = try LabelledFeatures(fine, labels: [0, 1], classes: 2)
                _ = try LinearProbe().fit(data)
            }.contains("at least two of each"))
        #expect(throws: CancellationError.self) {
            _ = try LinearProbe().fit(clusters(count: 60), shouldStop: { true })
        }
    }
}

@Suite struct LBFGSTests {
    /// Rosenbrock's valley, whose minimum is at (1, 1).
    @Test func followsACurvedValley() {
        var solver = LBFGS()
        solver.gradientTolerance = 1e-9
        solver.valueTolerance = 0
        let result = solver.minimize(from: [-1.2, 1]) { p, gradient in
            let a = 1 - p[0]
            let b = p[1] - p[0] * p[0]
            gradient[0] = -2 * a - 400 * p[0] * b
            gradient[1] = 200 * b
            return a * a + 100 * b * b
        }
        #expect(abs(result.point[0] - 1) < 1e-8 && abs(result.point[1] - 1) < 1e-8)
        #expect(result.iterations < 60)
    }

    @Test func findsTheMinimumOfABadlyScaledBowl() {
        var solver = LBFGS()
        solver.valueTolerance = 0
        let scales = (0..<30).map { pow(10, Double($0) / 10) }
        let result = solver.minimize(from: [Double](repeating: 1, count: 30)) { p, gradient in
            for i in p.indices { gradient[i] = scales[i] * p[i] }
            return zip(scales, p).reduce(0) { $0 + $1.0 * $1.1 * $1.1 / 2 }
        }
        #expect(result.gradientNorm <= 1e-5)
    }
}

@Suite struct NeighborTests {
    private func random(_ count: Int, _ width: Int, _ name: String) -> Tensor {
        let key = RandomKey(seed: 5).child(name)
        return Tensor(
            [count, width], (0..<count * width).map { key.uniform(in: -1...1, at: $0) })
    }

    /// Sizes that are no multiples of the tiles.
    @Test func agreesWithBruteForce() {
        let vectors = random(2500, 5, "vectors")
        let queries = random(70, 5, "queries")
        let found = NearestNeighbors(vectors, threads: 2).nearest(40, to: queries)
        func row(_ tensor: Tensor, _ index: Int) -> [Double] {
            tensor.elements[index * 5..<index * 5 + 5].map(Double.init)
        }
        func cosine(_ a: [Double], _ b: [Double]) -> Double {
            func dot(_ a: [Double], _ b: [Double]) -> Double {
                zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
            }
            return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
        }
        for query in 0..<70 {
            let all = (0..<2500).map { cosine(row(queries, query), row(vectors, $0)) }
            let expected = all.sorted(by: >).prefix(40)
            #expect(found[query].count == 40)
            for (neighbor, similarity) in zip(found[query], expected) {
                #expect(abs(Double(neighbor.similarity) - similarity) < 1e-5)
                #expect(abs(all[neighbor.index] - similarity) < 1e-5)
            }
        }
        #expect(NearestNeighbors(vectors, threads: 1).nearest(40, to: queries) == found)
    }

    @Test func equalVectorsComeInOrder() {
        let same = Tensor([5000, 2], repeating: 1)
        let found = NearestNeighbors(same, threads: 1).nearest(3, to: Tensor([1, 2], [2, 2]))
        #expect(found[0].map(\.index) == [0, 1, 2])
        // Zeros have no direction and stand last.
        let zero = Tensor([2, 2], [0, 0, 1, 0])
        let order = NearestNeighbors(zero, threads: 1).nearest(9, to: Tensor([1, 2], [1, 0]))
        #expect(order[0].map(\.index) == [1, 0])
    }

    /// One close neighbor outweighs two far ones at a low temperature, not at a high one.
    @Test func weighsVotes() throws {
        let data = try LabelledFeatures(
            Tensor([3, 2], [1, 0, 0, 1, 0, 1]), labels: [0, 1, 1], classes: 2)
        var classifier = WeightedNeighbors(data, threads: 1)
        classifier.k = 3
        let query = Tensor([1, 2], [1, 0.1])
        #expect(classifier.classify(query) == [0])
        classifier.temperature = 10
        #expect(classifier.classify(query) == [1])
        classifier.temperature = 1e-4
        #expect(classifier.classify(query) == [0])
    }

    @Test func recognizesClusters() throws {
        let classifier = try WeightedNeighbors(clusters(count: 600), threads: 1)
        #expect(try classifier.accuracy(clusters(count: 90, name: "test")) > 0.95)
    }
}

@Suite struct BalancedSubsetTests {
    @Test func takesTheSameNumberOfEveryClass() {
        let labels = (0..<1000).map { Int32($0 % 10 < 7 ? 0 : $0 % 10 == 7 ? 1 : 2) }
        let part = BalancedSubset.draw(0.03, of: labels, classes: 3, key: RandomKey(seed: 1))
        #expect((0..<3).map { label in part.count { labels[$0] == label } } == [10, 10, 10])
        #expect(part == part.sorted() && Set(part).count == 30)
        #expect(
            BalancedSubset.draw(0.03, of: labels, classes: 3, key: RandomKey(seed: 1)) == part)
        #expect(
            BalancedSubset.draw(0.03, of: labels, classes: 3, key: RandomKey(seed: 2)) != part)
        // A class that has fewer gives all it has.
        let large = BalancedSubset.draw(0.6, of: labels, classes: 3, key: RandomKey(seed: 1))
        #expect((0..<3).map { label in large.count { labels[$0] == label } } == [200, 100, 200])
        #expect(
            BalancedSubset.draw(1, of: labels, classes: 3, key: RandomKey(seed: 1)).count == 1000)
    }

    @Test func holdsOutAPartOfEveryClass() {
        let labels = (0..<103).map { Int32($0 % 5) } + [5]
        let (kept, heldOut) = BalancedSubset.holdOut(
            0.1, of: labels, classes: 6, key: RandomKey(seed: 3))
        #expect((kept + heldOut).sorted() == Array(labels.indices))
        #expect((0..<5).allSatisfy { label in heldOut.count { labels[$0] == label } == 2 })
        // The only image of a class is learned from.
        #expect(!heldOut.contains(103))
    }
}
