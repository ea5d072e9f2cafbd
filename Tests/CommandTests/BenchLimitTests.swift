import Foundation
import Testing

/// What a benchmark says that must be computed and moved.
@Suite struct BenchLimitTests {
    private struct Figures: Decodable {
        let giga_operations: Double
        let gigabytes: Double
    }

    private func figures(_ task: String, batch: Int, _ more: String...) throws -> Figures {
        let arguments = ["bench", task, "--model", "resnet20-cifar", "--batch", "\(batch)"]
        let settings = ["--steps", "1", "--threads", "2", "--without", "tuning", "--json"]
        let result = try Command.start(arguments + settings + more).wait()
        #expect(result.status == 0, "\(result.errors)")
        return try JSONDecoder().decode(Figures.self, from: Data(result.output.utf8))
    }

    /// Training does everything three times but the first layer's input gradient, which nobody needs.
    @Test func operationsAreThoseOfDirectSums() throws {
        let used = try figures("infer", batch: 4)
        let trained = try figures("train", batch: 4)
        let first = 2e-9 * Double(4 * 3 * 16 * 9 * 32 * 32)
        #expect(abs(trained.giga_operations - (3 * used.giga_operations - first)) < 1e-6)
        // He et al. (2016), table 6, give no figure; fvcore counts 41 million multiply-adds.
        #expect(abs(used.giga_operations / 4 - 2 * 0.041) < 0.001)
    }

    /// Twice the images move twice the activations, and the same weights.
    @Test func bytesAreOfImagesAndWeights() throws {
        let (one, two) = try (figures("infer", batch: 1), figures("infer", batch: 2))
        let perImage = two.gigabytes - one.gigabytes
        let weights = one.gigabytes - perImage
        // 0.27 million parameters of four bytes, with batch norms' vectors.
        #expect(abs(weights - 4 * 0.27e-3) < 0.05e-3)
        let halves = try figures("infer", batch: 2, "--precision", "auto")
        #expect(halves.gigabytes <= two.gigabytes)
        // The optimizer reads and writes five numbers for every parameter.
        let trained = try figures("train", batch: 1)
        #expect(trained.gigabytes > one.gigabytes + 5 * weights)
    }
}
