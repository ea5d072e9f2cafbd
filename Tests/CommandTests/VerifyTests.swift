import Foundation
import Testing

@Suite("Comparing the engine with results of PyTorch")
struct VerifyTests {
    private static let fixture = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/resnet20-cifar.json")

    /// The file with some of it changed.
    private func changed(
        _ scratch: Scratch, _ change: (inout [String: Any]) -> Void
    ) throws -> String {
        let file = try JSONSerialization.jsonObject(with: Data(contentsOf: VerifyTests.fixture))
        var fields = try #require(file as? [String: Any])
        change(&fields)
        try scratch.write(JSONSerialization.data(withJSONObject: fields), to: "changed.json")
        return scratch.path("changed.json")
    }

    @Test("Results of PyTorch pass")
    func passes() throws {
        let result = try Command.run(
            "verify", VerifyTests.fixture.path, "--strict", "--json", "--threads", "1")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("\"model\":\"resnet20-cifar\""))
    }

    @Test("Numbers that differ fail, gradients of the same norm too")
    func differences() throws {
        let scratch = try Scratch()
        let name = "layer2.0.conv1.weight"
        for key in ["gradients", "after_one_sgd_step"] {
            let negated = try changed(scratch) { fields in
                var briefs = fields[key] as? [String: [String: Any]] ?? [:]
                let first = briefs[name]?["first"] as? [Double] ?? []
                briefs[name]?["first"] = first.map { -$0 }
                fields[key] = briefs
            }
            let result = try Command.run("verify", negated, "--threads", "1")
            expectFailure(result, "1 of 1 files failed")
            #expect(result.output.contains("FAIL") && result.output.contains(name))
        }
        let loss = try changed(scratch) { $0["loss"] = 2.3 }
        expectFailure(try Command.run("verify", loss, "--threads", "1"), "1 of 1 files failed")
    }

    @Test("Files that are no results are one error that names them")
    func badFiles() throws {
        let scratch = try Scratch()
        expectFailure(
            try Command.run("verify", scratch.path("none.json")), "none.json", "does not exist")
        try scratch.write("{".utf8, to: "cut.json")
        expectFailure(try Command.run("verify", scratch.path("cut.json")), "cut.json")

        let changes: [(String, Any, String)] = [
            ("input", [Int](), "no batch of images"), ("input", [4, 3, 32], "no batch of images"),
            ("input", [4, 3, 1 << 62, 4], "image"), ("classes", -1, "classes"),
            ("labels", [1], "labels"), ("labels", [1, 2, 3, 99], "labels"),
            ("eval_logits", [[Double]](), "logits"),
            ("eval_logits", [[1.0], [], [1], [2]], "logits"),
            ("train_logits", [[Double]](repeating: [1], count: 9), "logits"),
            (
                "train_logits", [[Double]](repeating: [Double](repeating: 1, count: 11), count: 4),
                "logits"
            ),
            ("gradients", [String: Any](), "gradient of"),
            ("after_one_sgd_step", [String: Any](), "step of SGD"),
            ("model", "resnet21", "unknown"),
            ("input", [4, 3, 100_000, 100_000], "choose a smaller batch"),
            ("loss", "high", "changed.json"),
        ]
        for (key, value, word) in changes {
            let file = try changed(scratch) { $0[key] = value }
            expectFailure(try Command.run("verify", file), "changed.json", word)
        }
    }
}
