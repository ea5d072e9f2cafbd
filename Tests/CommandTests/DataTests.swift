import ApusData
import ApusReport
import Foundation
import Testing

@Suite("Data sets on the command line")
struct DataTests {
    private func messy() throws -> Scratch {
        let scratch = try Scratch()
        try scratch.writeClasses(train: 24, test: 4)
        try scratch.write(Array("words <b>".utf8), to: "data/train/dark/bad.png")
        try scratch.write(scratch.bytes("data/train/dark/3.png"), to: "data/test/dark/copy.png")
        return scratch
    }

    @Test("A check lists what is wrong")
    func check() throws {
        let scratch = try messy()
        let data = scratch.path("data")
        let result = try Command.run("data", "check", data, "--page", scratch.path("page.html"))
        #expect(result.status == 0, "\(result.errors)")
        for words in ["1 cannot be read", "no image: 1", "bad.png", "equal files", "copy.png"] {
            #expect(result.output.contains(words), "no '\(words)' in: \(result.output)")
        }
        let page = String(decoding: try scratch.bytes("page.html"), as: UTF8.self)
        #expect(page.contains("data:image/png;base64,") && page.contains("in train and test"))
        // What a file says must not become a part of the page.
        #expect(page.contains("words &lt;b") && !page.contains("words <b"))
        #expect(!page.contains("http"))

        let json = try Command.run("data", "check", data, "--json")
        let findings = try JSONDecoder().decode(DataFindings.self, from: Data(json.output.utf8))
        #expect(findings.images == 58 && findings.readable == 57)
        expectFailure(
            try Command.run("data", "check", data, "--strict"), "1 images that cannot be read",
            "train and test")
        expectFailure(
            try Command.run("data", "check", data, "--page", scratch.path("none/page.html")),
            "directory does not exist")
        expectFailure(try Command.run("data", "check", "/nowhere"), "/nowhere", ".apack")
        expectFailure(try Command.run("data", "check"), code: 2, "apus data check")
    }

    @Test("A pack is trained on like the folder it was made of")
    func pack() throws {
        let scratch = try messy()
        let pack = scratch.path("photos.apack")
        expectFailure(
            try Command.run("pack", scratch.path("data"), "--out", pack), "bad.png",
            "--skip-broken")
        #expect(!scratch.exists("photos.apack"))
        let done = try Command.run(
            "pack", scratch.path("data"), "--out", pack, "--skip-broken", "--encoding", "raw")
        #expect(done.status == 0, "\(done.errors)")
        #expect(done.output.contains("packed 57 images") && done.errors.contains("bad.png"))
        let train = try Command.run(
            "train", "--data", pack, "--model", "resnet8-cifar", "--batch", "16", "--epochs", "1",
            "--threads", "1", "--out", scratch.path("run"))
        #expect(train.status == 0, "\(train.errors)")
        #expect(train.errors.contains("test accuracy"))

        expectFailure(
            try Command.run(
                "pack", scratch.path("data"), "--out", pack, "--skip-broken", "--encoding", "keep",
                "--max-side", "3"), code: 2, "--max-side")
        expectFailure(
            try Command.run("pack", scratch.path("data"), "--out", pack, "--quality", "0"), code: 2,
            "--quality")
    }

    @Test("A disk that is full leaves the pack that was there")
    func fullDisk() throws {
        let scratch = try Scratch()
        for index in 0..<40 {
            let key = UInt8(index)
            let noise = (0..<3 * 64 * 64).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) ^ key }
            try scratch.write(
                ImageEncoder.encodePNG(
                    Image(width: 64, height: 64, channels: 3, pixels: noise)),
                to: "data/\(index).png")
        }
        try scratch.write(Array("before".utf8), to: "out.apack")
        let result = try Command.start(
            [
                "pack", scratch.path("data"), "--out", scratch.path("out.apack"), "--encoding",
                "raw",
            ],
            shell: "ulimit -f 100"
        ).wait()
        expectFailure(result, "file size limit", "untouched")
        #expect(try scratch.bytes("out.apack") == Data("before".utf8))
        let left = try FileManager.default.contentsOfDirectory(atPath: scratch.root)
        #expect(left.sorted() == ["data", "out.apack"])
    }

    @Test("Broken images stop training, or are replaced and listed")
    func skipBroken() throws {
        let scratch = try messy()
        func train(_ out: String, _ more: String...) throws -> CommandResult {
            try Command.start(
                [
                    "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch",
                    "8", "--epochs", "1", "--threads", "1", "--out", scratch.path(out),
                ] + more
            ).wait()
        }
        // The first of all, which tells a loader the size.
        try scratch.write([1], to: "data/train/bright/-.png")
        expectFailure(try train("a"), "bright/-.png", "--skip-broken")
        let result = try train("b", "--skip-broken")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("2 images could not be read"))
        #expect(result.errors.contains("bad.png"))
    }

    @Test("A part is held out for testing, also when the run goes on")
    func validation() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(train: 40, test: 0)
        func train(_ epochs: String, _ more: [String]) throws -> CommandResult {
            try Command.start(
                ["train", "--epochs", epochs, "--threads", "1", "--out", scratch.path("run")] + more
            ).wait()
        }
        let first = try train(
            "1",
            [
                "--data", scratch.path("data/train"), "--validation", "0.25", "--model",
                "resnet8-cifar", "--batch", "16",
            ])
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.errors.contains("test accuracy"))
        let evaluation = try Command.run("evaluate", scratch.path("run"))
        #expect(evaluation.status == 0, "\(evaluation.errors)")
        expectFailure(try train("1", ["--validation", "0.1"]), code: 2, "--validation goes with")
        expectFailure(
            try train("1", ["--data", "x", "--validation", "2", "--model", "resnet8-cifar"]),
            code: 2, "--validation must be")
    }

    @Test("Images without labels, or of one class, are no task for supervised training")
    func unlabelled() throws {
        let scratch = try Scratch()
        for index in 0..<4 {
            try scratch.write(
                ImageEncoder.encodePNG(Scratch.picture(8, label: 0, index: index)),
                to: "flat/only/\(index).png")
        }
        func train(_ data: String) throws -> CommandResult {
            try Command.run(
                "train", "--data", data, "--model", "resnet8-cifar", "--out", scratch.path("run"))
        }
        expectFailure(try train(scratch.path("flat/only")), "no labels", "list:FILE")
        expectFailure(try train(scratch.path("flat")), "one class alone (only)")
        try FileManager.default.createDirectory(
            atPath: scratch.path("empty"), withIntermediateDirectories: true)
        expectFailure(try train(scratch.path("empty")), "empty", "is an empty folder")
        #expect(!scratch.exists("run"))
    }
}
