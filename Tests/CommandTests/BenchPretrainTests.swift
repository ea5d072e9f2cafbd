import Foundation
import Testing

@Suite("apus bench pretrain")
struct BenchPretrainTests {
    private struct Result: Decodable {
        let batch: Int
        let steps: Int
        let fed_ms: Double
        let repeated_ms: Double
        let loading_percent: Double
        let wait_ms: Double
    }

    @Test("Steps that are fed beside steps that are not")
    func cost() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        let arguments = [
            "bench", "pretrain", "--data", scratch.path("data"), "--model", "resnet8-cifar",
            "--batch", "8", "--steps", "3", "--threads", "1",
        ]
        let output = try Command.start(arguments + ["--json"]).wait()
        #expect(output.status == 0, "\(output.errors)")
        let result = try JSONDecoder().decode(Result.self, from: Data(output.output.utf8))
        #expect(result.batch == 8 && result.steps == 3)
        #expect(result.repeated_ms > 0 && result.fed_ms >= result.wait_ms && result.wait_ms >= 0)
        let percent = 100 * (result.fed_ms / result.repeated_ms - 1)
        #expect(abs(result.loading_percent - percent) < 1e-6)
        let text = try Command.start(arguments).wait()
        #expect(text.output.contains("making views takes"))
    }

    @Test("A batch larger than the data set names the flag")
    func tooFew() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        expectFailure(
            try Command.run(
                "bench", "pretrain", "--data", scratch.path("data"), "--model", "resnet8-cifar",
                "--batch", "60000"), "--batch")
    }
}
