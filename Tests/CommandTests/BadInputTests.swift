import ApusData
import ApusReport
import Foundation
import Testing

@Suite("Bad input of the command")
struct BadInputTests {
    private func train(_ data: String, _ out: String, _ more: String...) throws -> CommandResult {
        try Command.start(
            [
                "train", "--data", data, "--model", "resnet8-cifar", "--batch", "8", "--epochs",
                "1", "--threads", "1", "--out", out,
            ] + more
        ).wait()
    }

    @Test("Folders that cannot be trained on")
    func folders() throws {
        let scratch = try Scratch()
        expectFailure(
            try train(scratch.path("missing"), scratch.path("run")), "missing", "neither a folder")
        try scratch.writeClasses(train: 8, test: 2)
        try FileManager.default.createDirectory(
            atPath: scratch.path("data/train/empty"), withIntermediateDirectories: true)
        expectFailure(
            try train(scratch.path("data"), scratch.path("run")), "has no images", "\"empty\"")
        try FileManager.default.removeItem(atPath: scratch.path("data/train/empty"))
        expectFailure(
            try train(scratch.path("data"), scratch.path("run"), "--batch", "64"),
            "larger than the 16 training images")
        try scratch.write([1], to: "file")
        expectFailure(try train(scratch.path("data"), scratch.path("file")), "file")
        #expect(!scratch.exists("run/checkpoints/last.safetensors"))
    }

    @Test("Images that cannot be read, or differ in size")
    func images() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(train: 8, test: 2)
        let jpeg = try ImageEncoder.encodeJPEG(Scratch.picture(64, label: 0, index: 1))
        try scratch.write(jpeg.prefix(jpeg.count / 2), to: "data/train/dark/cut.jpg")
        expectFailure(try train(scratch.path("data"), scratch.path("run")), "cut.jpg")
        try FileManager.default.removeItem(atPath: scratch.path("data/train/dark/cut.jpg"))

        try scratch.write(Array("just words".utf8), to: "data/train/dark/text.png")
        expectFailure(
            try train(scratch.path("data"), scratch.path("run")), "text.png",
            "not a JPEG, PNG or WebP")
        try FileManager.default.removeItem(atPath: scratch.path("data/train/dark/text.png"))

        try scratch.write(
            ImageEncoder.encodePNG(Scratch.picture(1, label: 0, index: 0)),
            to: "data/train/dark/tiny.png")
        expectFailure(
            try train(scratch.path("data"), scratch.path("run")), "different sizes", "--side")
        let resized = try train(scratch.path("data"), scratch.path("run"), "--side", "8")
        #expect(resized.status == 0, "\(resized.errors)")
    }

    @Test("Files of weights that do not fit")
    func weights() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(train: 8, test: 2)
        #expect(try train(scratch.path("data"), scratch.path("run"), "--quiet").status == 0)
        let whole = try scratch.bytes("run/checkpoints/last.safetensors")

        try scratch.write(whole.prefix(whole.count / 2), to: "cut.safetensors")
        expectFailure(try Command.run("evaluate", scratch.path("cut.safetensors")), "cut")
        try scratch.write(Array("hello".utf8), to: "text.safetensors")
        expectFailure(try Command.run("evaluate", scratch.path("text.safetensors")), "neither")
        expectFailure(try Command.run("evaluate", scratch.path("nothing")), "does not exist")
        expectFailure(try Command.run("evaluate", scratch.path("data")), "not a run folder")
        expectFailure(
            try Command.run("evaluate", scratch.path("run"), "--data", "fashion-mnist"),
            "2 classes", "10")

        // Another network refuses the weights, as a start and as a run to continue.
        expectFailure(
            try train(
                scratch.path("data"), scratch.path("other"), "--model", "resnet14-cifar",
                "--init", scratch.path("run")), "another network")
        expectFailure(
            try train(scratch.path("data"), scratch.path("run"), "--model", "resnet14-cifar"),
            "another network")
        expectFailure(
            try train(scratch.path("data"), scratch.path("run"), "--lr", "0.3", "--seed", "7"),
            "learning rate, seed")

        // A checkpoint that was cut is an error, not a new start.
        try scratch.write(whole.prefix(1000), to: "run/checkpoints/last.safetensors")
        expectFailure(try Command.run("train", "--out", scratch.path("run")), "last.safetensors")
    }

    @Test("A network for large images trains on small ones, with a hint")
    func smallImages() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(train: 4, test: 1)
        let result = try train(
            scratch.path("data"), scratch.path("run"), "--model", "resnet18", "--side", "20")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("resnet18-cifar suits them better"))
    }

    @Test("A full disk leaves one line and no broken file")
    func fullDisk() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(train: 8, test: 2)
        let arguments = [
            "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
            "--epochs", "1", "--threads", "1", "--out", scratch.path("run"),
        ]
        let result = try Command.start(arguments, shell: "ulimit -f 64").wait()
        expectFailure(result, "file size limit")
        #expect(!scratch.exists("run/checkpoints/last.safetensors"))
        let left = try FileManager.default.contentsOfDirectory(
            atPath: scratch.path("run/checkpoints"))
        #expect(left.isEmpty)
    }
}

@Suite("Contact sheets")
struct ContactSheetTests {
    @Test("Tiles are framed in the color of their result")
    func frames() {
        let image = Scratch.picture(28, label: 0, index: 0)
        let frames: [ContactSheet.Frame] = [.right, .wrong, .unknown]
        let sheet = ContactSheet(
            frames.map { .init(image: image, frame: $0, caption: ["a label", "\u{1F600}~"]) },
            columns: 3
        ).image()
        func color(_ x: Int, _ y: Int) -> [UInt8] {
            Array(sheet.pixels[(y * sheet.width + x) * 3..<(y * sheet.width + x) * 3 + 3])
        }
        let cell = (sheet.width - 10) / 3
        #expect(color(11, 11)[1] > 120 && color(11, 11)[0] < 100)
        #expect(color(11 + cell, 11)[0] > 120 && color(11 + cell, 11)[1] < 100)
        let gray = color(11 + 2 * cell, 11)
        #expect(gray[0] == gray[1] && gray[1] == gray[2] && gray[0] < 200)
        // The first pixel of the image itself, scaled by a whole factor.
        #expect(color(10 + 4, 10 + 4) == [UInt8](repeating: image.pixels[0], count: 3))
        // There is text below.
        let text = (sheet.height - 60..<sheet.height).contains { y in
            (0..<cell).contains { color($0, y) != [255, 255, 255] }
        }
        #expect(text)
    }

    @Test("Images of any shape, and no images, make a sheet")
    func shapes() {
        let long = Image(
            width: 3000, height: 1, channels: 1, pixels: .init(repeating: 9, count: 3000))
        let sheet = ContactSheet([.init(image: long, frame: .unknown, caption: [])]).image()
        #expect(sheet.width < 400 && sheet.height < 400)
        #expect(ContactSheet([]).image().width > 0)
    }
}
