import Foundation
import Testing

/// The plan against the process: what a session takes is known before it is made.
@Suite struct BenchMemoryTests {
    private struct Figures: Decodable {
        let peak_memory_mib: Double
        let planned_memory_mib: Double
    }

    /// Many primitives, much scratch memory, and weights kept in another layout. Nothing is timed, so
    /// that no candidate's memory is in the peak.
    @Test(arguments: [
        ["train", "--model", "densenet40-cifar", "--batch", "16"],
        ["train", "--model", "resnet18-cifar", "--batch", "16"],
        ["infer", "--model", "resnet18", "--side", "224", "--batch", "4"],
        ["infer", "--model", "densenet121", "--batch", "4"],
    ])
    func thePlanKnowsThePeak(arguments: [String]) throws {
        let result = try Command.start(
            ["bench"] + arguments
                + ["--steps", "1", "--threads", "2", "--without", "tuning", "--json"]
        ).wait()
        #expect(result.status == 0, "\(result.errors)")
        let figures = try JSONDecoder().decode(Figures.self, from: Data(result.output.utf8))
        let error = figures.peak_memory_mib / figures.planned_memory_mib - 1
        #expect(abs(error) < 0.02, "\(figures)")
    }
}
