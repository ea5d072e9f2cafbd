import Foundation
import Testing

/// The plan against the process: what a session takes is known before it is made.
@Suite struct BenchMemoryTests {
    private struct Figures: Decodable {
        let peak_memory_mib: Double
        let planned_memory_mib: Double
    }

    /// Many primitives, much scratch memory, weights kept in another layout, and algorithms that are timed: what
    /// candidates need is where the arena holds nothing.
    @Test(arguments: [
        ["train", "--model", "densenet40-cifar", "--batch", "16", "--without", "tuning"],
        ["train", "--model", "resnet18-cifar", "--batch", "16", "--without", "tuning"],
        ["train", "--model", "resnet20-cifar", "--batch", "128"],
        ["infer", "--model", "resnet18", "--side", "224", "--batch", "4", "--without", "tuning"],
        ["infer", "--model", "densenet121", "--batch", "4", "--without", "tuning"],
    ])
    func thePlanKnowsThePeak(arguments: [String]) throws {
        let cache = try Scratch()
        let result = try Command.start(
            ["bench"] + arguments + ["--steps", "1", "--threads", "2", "--json"],
            shell: "export XDG_CACHE_HOME='\(cache.path("nothing"))'"
        ).wait()
        #expect(result.status == 0, "\(result.errors)")
        let figures = try JSONDecoder().decode(Figures.self, from: Data(result.output.utf8))
        let error = figures.peak_memory_mib / figures.planned_memory_mib - 1
        #expect(abs(error) < 0.02, "\(figures)")
    }
}
