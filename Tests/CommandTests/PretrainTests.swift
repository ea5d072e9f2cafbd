import ApusData
import Foundation
import Testing

@Suite("Pretraining by the command", .serialized)
struct PretrainTests {
    private func arguments(_ scratch: Scratch, _ out: String, _ more: String...) -> [String] {
        [
            "pretrain", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "16",
            "--chunk", "8", "--width", "16", "--dimension", "8", "--optimizer", "lars",
            "--seed", "3", "--threads", "1", "--out", scratch.path(out),
        ] + more
    }

    private func probes(_ metrics: [String: Any]) -> [String: Double] {
        metrics["probes"] as? [String: Double] ?? [:]
    }

    private func events(_ result: CommandResult) throws -> [[String: Any]] {
        try result.output.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test("Both methods, a probe meanwhile, from a folder of images")
    func wholeWay() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        for method in ["simclr", "byol"] {
            let result = try Command.start(
                arguments(
                    scratch, method, "--method", method, "--epochs", "2", "--online", "knn,linear",
                    "--json")
            ).wait()
            #expect(result.status == 0, "\(result.errors)")
            let events = try events(result)
            #expect(events.first?["event"] as? String == "start")
            #expect((events.first?["memory_bytes"] as? Int ?? 0) > 1_000_000)
            #expect(events.last?["event"] as? String == "finished")
            let lines = events.compactMap { $0["metrics"] as? [String: Any] }
            #expect(lines.count == 2)
            #expect(lines.allSatisfy { probes($0).keys.sorted() == ["knn", "linear"] })
            #expect(lines.allSatisfy { $0["embeddings"] != nil })
        }
        let report = try Command.run("report", scratch.path("simclr"), scratch.path("byol"))
        #expect(report.status == 0, "\(report.errors)")
        let page = try String(contentsOfFile: scratch.path("simclr/report.html"), encoding: .utf8)
        #expect(page.contains("Linear probe") && page.contains("by linear probe"))
        #expect(!page.contains("cross entropy"))
        let probe = try Command.run(
            "probe", scratch.path("simclr"), "--knn", "--baselines", "none", "--threads", "1")
        #expect(probe.status == 0, "\(probe.errors)")
    }

    @Test("Images without labels, of mixed sizes, some of which are broken")
    func unlabelled() throws {
        let scratch = try Scratch()
        for index in 0..<40 {
            try scratch.write(
                ImageEncoder.encodePNG(
                    Scratch.picture(9 + index % 5, label: index % 2, index: index)),
                to: "data/\(index).png")
        }
        try scratch.write(Array("no picture".utf8), to: "data/7.png")
        let result = try Command.start(
            arguments(scratch, "run", "--epochs", "3", "--side", "8")
        ).wait()
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("7.png"))
        let strict = try Command.start(
            arguments(scratch, "strict", "--epochs", "3", "--side", "8", "--strict")
        ).wait()
        expectFailure(strict, "7.png")
        let labels = try Command.start(
            arguments(scratch, "labels", "--side", "8", "--loss", "supervised")
        ).wait()
        expectFailure(labels, "needs labels")
    }

    @Test("Interrupted and killed runs end with the same bytes as one that was left alone")
    func sameBytes() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(side: 16, train: 40)
        let whole = try Command.start(arguments(scratch, "whole", "--epochs", "12")).wait()
        #expect(whole.status == 0, "\(whole.errors)")
        let expected = try scratch.bytes("whole/checkpoints/last.safetensors")

        let run = try Command.start(arguments(scratch, "run", "--epochs", "12"))
        waitFor(scratch, "run/metrics.jsonl", lines: 2)
        run.process.interrupt()
        let result = try run.wait()
        #expect(result.status == 130 && !result.isKilled, "\(result.errors)")
        #expect(result.errors.contains("apus pretrain --out"))
        let killed = try Command.start(arguments(scratch, "run", "--epochs", "12"))
        waitFor(scratch, "run/metrics.jsonl", lines: 6)
        usleep(UInt32.random(in: 0...20_000))
        kill(killed.process.processIdentifier, SIGKILL)
        _ = try killed.wait()
        let unheard = try Command.run("pretrain", "--out", scratch.path("run"), "--epochs=12")
        expectFailure(unheard, code: 2, "own recipe", "--epochs")
        let resumed = try Command.run("pretrain", "--out", scratch.path("run"))
        #expect(resumed.status == 0, "\(resumed.errors)")
        let isSame = try scratch.bytes("run/checkpoints/last.safetensors") == expected
        #expect(isSame)
    }

    @Test("The loss is timed", arguments: [2, 40])
    func benchLoss(pairs: Int) throws {
        let result = try Command.run(
            "bench", "loss", "--pairs", "\(pairs)", "--dimension", "8", "--threads", "1", "--json")
        #expect(result.status == 0 && result.output.contains("median_ms"))
    }

    @Test(
        "Wrong usage",
        arguments: [
            ["--head", "mlp-9"], ["--views", "sepia"], ["--views", "supervised"],
            ["--chunk", "7", "--batch", "16"], ["--temperature", "0"], ["--method", "moco"],
        ])
    func usage(options: [String]) throws {
        let result = try Command.start(
            ["pretrain", "--data", "x", "--model", "resnet8-cifar", "--out", "y"] + options
        ).wait()
        expectFailure(result, code: 2, options[0])
    }
}
