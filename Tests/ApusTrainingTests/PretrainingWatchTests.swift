import ApusData
import ApusGraph
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct PretrainingWatchTests {
    private func random(_ rows: Int, _ dimension: Int, seed: UInt64 = 1) -> [Float] {
        // Sums of uniform numbers point in all directions alike.
        let key = RandomKey(seed: seed)
        return (0..<rows * dimension).map { i in
            (0..<6).reduce(Float(-3)) { $0 + key.uniform(at: 6 * i + $1) }
        }
    }

    @Test func statisticsKnowSphereLineAndPoint() {
        let first = random(256, 16)
        let sphere = EmbeddingStatistics(Tensor([512, 16], first + first))
        #expect(sphere.spread > 0.9 && sphere.rank > 13 && sphere.alignment < 1e-6)
        #expect(sphere.uniformity < -3)
        let apart = EmbeddingStatistics(Tensor([512, 16], first + random(256, 16, seed: 2)))
        #expect(abs(apart.alignment - 2) < 0.1)
        let point = EmbeddingStatistics(Tensor([512, 16], repeating: 0.7))
        #expect(point.spread < 1e-6 && abs(point.uniformity) < 1e-6)
        var line = Tensor([512, 16])
        for row in 0..<512 { line.elements[row * 16] = row % 2 == 0 ? 1 : -1 }
        #expect(abs(EmbeddingStatistics(line).rank - 1) < 1e-9)
    }

    private func look(
        _ watch: inout PretrainingWatch, accuracy: Double = 0.5, epoch: Double = 5,
        _ projections: Tensor? = nil, probe: Double? = nil
    ) throws -> [String] {
        let healthy = random(64, 16)
        return watch.look(
            try pretrainingRecipe(), accuracy: accuracy, epoch: epoch,
            EmbeddingStatistics(projections ?? Tensor([128, 16], healthy + healthy)),
            probes: probe.map { ["knn": $0] } ?? [:])
    }

    @Test func eachFailureIsNamedOnceWithARemedy() throws {
        var watch = PretrainingWatch()
        #expect(try look(&watch).isEmpty)
        let point = Tensor([128, 16], repeating: 0.1)
        let collapse = try look(&watch, point)
        #expect(collapse.count == 1 && collapse[0].contains("collapse"))
        #expect(collapse[0].contains("--lr"))
        #expect(try look(&watch, point).isEmpty)
        let easy = try look(&watch, accuracy: 0.999, epoch: 1)
        #expect(easy.count == 1 && easy[0].contains("--views"))

        var good = PretrainingWatch()
        for (accuracy, probe) in [(0.5, 0.6), (0.6, 0.7), (0.7, 0.72), (0.8, 0.71)] {
            #expect(try look(&good, accuracy: accuracy, probe: probe).isEmpty)
        }
        let shortcut = try look(&good, accuracy: 0.9, probe: 0.6)
        #expect(shortcut.count == 1 && shortcut[0].contains("shortcut"))
    }

    /// Views in the wrong order are noticed before the first step.
    @Test func thePairTestSeesWrongIndices() {
        let half = random(32, 16)
        #expect(PretrainingWatch.pairTest(Tensor([64, 16], half + half)) == nil)
        var neighbours: [Float] = []
        for row in 0..<32 {
            let one = half[row * 16..<(row + 1) * 16]
            neighbours += one
            neighbours += one
        }
        #expect(PretrainingWatch.pairTest(Tensor([64, 16], neighbours)) != nil)
        #expect(PretrainingWatch.pairTest(Tensor([64, 16], repeating: 1)) != nil)
    }

    @Test func whatSmallImagesDoNotSuitIsSaid() throws {
        var recipe = try pretrainingRecipe()
        recipe.views = try Views.named("simclr")
        recipe.encoder.name = "resnet18"
        let hints = PretrainingWatch.hints(recipe)
        for word in ["stem", "blur", "gray", "chunks of 16"] {
            #expect(hints.contains { $0.contains(word) }, "\(word)")
        }
        recipe.encoder.name = "resnet20-cifar"
        recipe.views = [.cropAndFlip, .cropAndFlip]
        recipe.batch = 64
        recipe.chunk = 64
        #expect(PretrainingWatch.hints(recipe).isEmpty)
    }

    @Test(arguments: ProjectionHead.names) func headsHaveTheirShape(name: String) throws {
        let head = try ProjectionHead.named(name, width: 20, dimension: 6).network(features: 10)
        #expect(try head.features == (name == "identity" ? 10 : 6))
        let graph = try head.graph(batch: 4, mode: .training)
        let layers = name == "identity" ? 0 : name == "mlp-3" ? 3 : name == "mlp-2" ? 2 : 1
        #expect(graph.parameters.count { $0.role == .weight } == layers)
        #expect(graph.buffers.count == 2 * max(0, layers - 1))
        #expect(graph.parameters.count { $0.role == .bias } == min(layers, 1))
        let unknown = message { _ = try ProjectionHead.named("mlp-9", width: 1, dimension: 1) }
        #expect(unknown.contains("mlp-2"))
    }

    @Test func ratesGrowWithTheBatch() {
        #expect(abs(RateRule.linear.rate(batch: 4096, optimizer: .defaultLARS) - 4.8) < 1e-5)
        #expect(abs(RateRule.sqrt.rate(batch: 4096, optimizer: .defaultLARS) - 4.8) < 1e-5)
        #expect(abs(RateRule.linear.rate(batch: 256, optimizer: .defaultLARS) - 0.3) < 1e-6)
        #expect(abs(RateRule.sqrt.rate(batch: 1024, optimizer: .defaultLARS) - 2.4) < 1e-5)
    }
}
