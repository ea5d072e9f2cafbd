import ApusData
import Foundation
import Testing

@Suite("Runs of the command", .serialized)
struct RunTests {
    private func arguments(_ scratch: Scratch, _ out: String, epochs: Int) -> [String] {
        [
            "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
            "--epochs", "\(epochs)", "--lr", "0.05", "--augment", "crop-flip", "--ema", "0.9",
            "--seed", "3", "--threads", "1", "--out", scratch.path(out),
        ]
    }

    @Test("Train, evaluate and classify a folder of classes")
    func wholeWay() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        let train = try Command.start(arguments(scratch, "run", epochs: 6) + ["--json"]).wait()
        #expect(train.status == 0, "\(train.errors)")
        let events = try train.output.split(separator: "\n").map {
            try #require(
                JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(events.first?["event"] as? String == "start")
        let last = try #require(events.last)
        #expect(last["event"] as? String == "finished")
        #expect(last["test_accuracy"] as? Double == 1)

        let evaluate = try Command.run(
            "evaluate", scratch.path("run"), "--json", "--threads", "1")
        let object = try JSONSerialization.jsonObject(with: Data(evaluate.output.utf8))
        let fields = try #require(object as? [String: Any])
        #expect(fields["top1"] as? Double == 1)
        #expect(fields["confusion"] as? [[Int]] == [[6, 0], [0, 6]])
        let text = try Command.run("evaluate", scratch.path("run"), "--confusion")
        #expect(text.output.contains("100.00 %") && text.output.contains("bright"))

        let samples = try Command.run(
            "classify", scratch.path("run"), "--samples", "4", "--top", "9", "--sheet",
            scratch.path("sheet.png"))
        #expect(samples.status == 0, "\(samples.errors)")
        #expect(samples.output.contains("4 of 4 right"))
        let sheet = try ImageDecoder().decode(contentsOf: scratch.path("sheet.png"))
        #expect(sheet.width > 200)

        // A bad file gets its line, the others go on; a picture of another size is taken, too.
        try scratch.write(
            ImageEncoder.encodePNG(Scratch.picture(50, label: 1, index: 0)), to: "big.png")
        try scratch.write(
            ImageEncoder.encodePNG(Scratch.picture(1, label: 0, index: 0)), to: "one.png")
        let files = try Command.run(
            "classify", scratch.path("run"), scratch.path("big.png"), scratch.path("none.png"),
            scratch.path("one.png"), "--json")
        #expect(files.status == 1)
        #expect(files.errorLines.count == 1 && files.errors.contains("none.png"))
        let lines = try files.output.split(separator: "\n").map {
            try #require(
                JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(lines.count == 3)
        let best = (lines[0]["predictions"] as? [[String: Any]])?.first
        #expect(best?["label"] as? String == "dark")
        #expect(lines[1]["error"] != nil)

        // Weights of a run begin another of other classes; only the classifier is drawn anew.
        try FileManager.default.copyItem(
            atPath: scratch.path("data/train/dark"), toPath: scratch.path("data/train/third"))
        try FileManager.default.copyItem(
            atPath: scratch.path("data/test/dark"), toPath: scratch.path("data/test/third"))
        let tuned = try Command.start(
            arguments(scratch, "tuned", epochs: 1) + ["--init", scratch.path("run")]
        ).wait()
        #expect(tuned.status == 0, "\(tuned.errors)")
        #expect(tuned.errors.contains("drawn anew: linear.bias, linear.weight"))
    }

    @Test("Interrupted and killed runs end with the same bytes as one that was left alone")
    func sameBytes() throws {
        let scratch = try Scratch()
        // Large enough that a run is still going on when the signal comes.
        try scratch.writeClasses(side: 24, train: 40)
        let whole = try Command.start(arguments(scratch, "whole", epochs: 120)).wait()
        #expect(whole.status == 0, "\(whole.errors)")
        let expected = try scratch.bytes("whole/checkpoints/last.safetensors")

        let interrupted = try Command.start(arguments(scratch, "interrupted", epochs: 120))
        waitFor(scratch, "interrupted/metrics.jsonl", lines: 4)
        interrupted.process.interrupt()
        let result = try interrupted.wait()
        #expect(result.status == 130 && !result.isKilled, "\(result.errors)")
        #expect(result.errors.contains("apus train --out"))
        #expect(try scratch.bytes("interrupted/checkpoints/last.safetensors") != expected)
        let resumed = try Command.run("train", "--out", scratch.path("interrupted"))
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(try scratch.bytes("interrupted/checkpoints/last.safetensors") == expected)

        for lines in [1, 29, 83] {
            let killed = try Command.start(arguments(scratch, "killed", epochs: 120))
            waitFor(scratch, "killed/metrics.jsonl", lines: lines)
            usleep(UInt32.random(in: 0...20_000))
            kill(killed.process.processIdentifier, SIGKILL)
            #expect(try killed.wait().isKilled)
        }
        let last = try Command.start(arguments(scratch, "killed", epochs: 120)).wait()
        #expect(last.status == 0, "\(last.errors)")
        #expect(try scratch.bytes("killed/checkpoints/last.safetensors") == expected)
        let metrics = try scratch.bytes("killed/metrics.jsonl")
        #expect(metrics.count { $0 == 10 } == 240)
    }
}
