import ApusData
import Foundation
import Testing

@Suite("Fine-tuning and explaining")
struct FineTuneTests {
    private func arguments(_ scratch: Scratch, _ out: String, _ rest: String...) -> [String] {
        [
            "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
            "--epochs", "2", "--lr", "0.05", "--seed", "3", "--threads", "1",
            "--out", scratch.path(out),
        ] + rest
    }

    @Test("A run begins another, whose frozen layers stay; pictures show where it looks")
    func wholeWay() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        #expect(try Command.start(arguments(scratch, "run")).wait().status == 0)
        try FileManager.default.copyItem(
            atPath: scratch.path("data/train/dark"), toPath: scratch.path("data/train/third"))
        try FileManager.default.copyItem(
            atPath: scratch.path("data/test/dark"), toPath: scratch.path("data/test/third"))
        let tuned = try Command.start(
            arguments(
                scratch, "tuned", "--from", scratch.path("run"), "--freeze", "stem",
                "--backbone-rate", "0.1", "--rate-decay", "0.8")
        ).wait()
        #expect(tuned.status == 0, "\(tuned.errors)")
        #expect(tuned.errors.contains("drawn anew: linear.bias, linear.weight"))
        #expect(tuned.errors.contains("176 parameters are frozen"), "\(tuned.errors)")
        #expect(tuned.errors.contains("epoch 0/2"))
        let again = try Command.run("train", "--out", scratch.path("tuned"))
        #expect(again.status == 0, "\(again.errors)")
        let other = try Command.start(
            arguments(scratch, "tuned", "--from", scratch.path("run"))
        ).wait()
        expectFailure(other, "another fine-tuning")

        for name in ["a", "b"] {
            try scratch.write(
                ImageEncoder.encodePNG(Scratch.picture(20, label: 0, index: 1)),
                to: "\(name)/x.png")
        }
        let pictures = try Command.run(
            "classify", scratch.path("tuned"), scratch.path("a/x.png"), scratch.path("b/x.png"),
            "--explain", scratch.path("maps"), "--json", "--threads", "1")
        #expect(pictures.status == 0, "\(pictures.errors)")
        for name in ["maps/x.png", "maps/x-2.png"] {
            let picture = try ImageDecoder().decode(contentsOf: scratch.path(name))
            #expect((picture.width, picture.height, picture.channels) == (240, 240, 3))
        }
        for line in pictures.output.split(separator: "\n") {
            let object =
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            guard let box = object?["box"] as? [Int] else { continue }
            #expect(box.count == 4 && box[0] >= 0 && box[0] + box[2] <= 20 && box[2] > 0)
        }
        let one = try Command.run(
            "classify", scratch.path("tuned"), scratch.path("a/x.png"), "--explain",
            scratch.path("one.png"), "--layer", "layer1")
        #expect(one.status == 0 && scratch.exists("one.png"), "\(one.errors)")
        expectFailure(
            try Command.run(
                "classify", scratch.path("tuned"), scratch.path("a/x.png"), "--explain",
                scratch.path("two.png"), "--layer", "layer7"), "layer layer7: is not in")
        expectFailure(
            try Command.run(
                "classify", scratch.path("tuned"), scratch.path("a/x.png"),
                scratch.path("b/x.png"), "--explain", scratch.path("two.png")), code: 2,
            "takes one image")
        expectFailure(
            try Command.run(
                "classify", scratch.path("tuned"), scratch.path("a/x.png"), "--explain",
                scratch.path("a/x.png/no")), "cannot make the folder")
        #expect(!scratch.exists("two.png"))
        expectFailure(
            try Command.start(
                arguments(scratch, "x", "--from", scratch.path("run"), "--freeze", "layer7")
            ).wait(), "--freeze layer7", "layer1, layer2, layer3")
        #expect(!scratch.exists("x"))
    }

    @Test(
        "Wrong usage is one line and exit code 2",
        arguments: [
            ["--freeze", "stem", "--freeze", "layer1"], ["--freeze", ""],
            ["--backbone-rate", "0"], ["--backbone-rate", "2"], ["--rate-decay", "nan"],
        ])
    func usage(arguments: [String]) throws {
        expectFailure(
            try Command.start(
                ["train", "--data", "fashion-mnist", "--model", "resnet8-cifar", "--out", "x"]
                    + arguments
            ).wait(), code: 2)
        expectFailure(
            try Command.run("classify", "x", "a.png", "--layer", "layer1"), code: 2,
            "--layer goes with --explain")
    }
}
