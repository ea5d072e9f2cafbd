import ApusData
import Foundation
import Testing

@Suite("Probe, embed, search and map")
struct EmbeddingCommandTests {
    /// A run on bright and dark squares.
    private func trained() throws -> Scratch {
        let scratch = try Scratch()
        try scratch.writeClasses()
        let result = try Command.run(
            "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
            "--epochs", "3", "--lr", "0.05", "--threads", "1", "--quiet", "--out",
            scratch.path("run"))
        #expect(result.status == 0, "\(result.errors)")
        return scratch
    }

    private func objects(_ result: CommandResult) throws -> [[String: Any]] {
        try result.output.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test("A probe prints a table, keeps its results and goes on from them")
    func probe() throws {
        let scratch = try trained()
        let arguments = [
            "probe", scratch.path("run"), "--linear", "--knn", "--fine-tune", "50", "--epochs", "2",
            "--batch", "8", "--rates", "0.05", "--seeds", "2", "--threads", "1",
        ]
        let first = try Command.start(arguments).wait()
        #expect(first.status == 0, "\(first.errors)")
        for word in ["linear", "kNN", "fine-tuned", "supervised", "random, frozen", "gain"] {
            #expect(first.output.contains(word), "\(first.output)")
        }
        let lines = first.output.split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("linear") && $0.contains("100.00 %") })
        let saved = try scratch.bytes("run/probe/results.json")
        let second = try Command.start(arguments + ["--json"]).wait()
        #expect(second.status == 0, "\(second.errors)")
        let events = try objects(second)
        // All is measured already: only the summary is printed.
        #expect(events.allSatisfy { $0["event"] as? String == "summary" } && events.count == 6)
        #expect(try scratch.bytes("run/probe/results.json") == saved)
        // Of the other kind of part only what is new is measured.
        expectFailure(
            try Command.start(arguments + ["--batch", "4"]).wait(), "another batch", "--out")
        expectFailure(
            try Command.run("probe", scratch.path("run"), "--data", scratch.path("data/test")),
            "test split")
        expectFailure(
            try Command.run(
                "probe", scratch.path("run"), "--layer", "projection", "--out",
                scratch.path("other")),
            "no projection head")
    }

    @Test("A folder with broken images is embedded, searched and drawn")
    func wholeWay() throws {
        let scratch = try trained()
        // Of another size than the network's, in folders below each other.
        for index in 0..<6 {
            let image = Scratch.picture(20 + index, label: index % 2, index: index)
            try scratch.write(
                ImageEncoder.encodePNG(image), to: "photos/2024/\(index % 2)-\(index).png")
        }
        try scratch.write(Array("no picture".utf8), to: "photos/broken.jpg")
        try scratch.write([], to: "photos/2024/empty.png")
        let out = scratch.path("features.safetensors")
        func embed(_ more: String...) throws -> CommandResult {
            try Command.start(
                [
                    "embed", scratch.path("photos"), "--with", scratch.path("run"), "--out", out,
                    "--threads", "1",
                ] + more
            ).wait()
        }
        expectFailure(try embed("--strict"), "empty.png")
        #expect(!scratch.exists("features.safetensors"))
        let embedded = try embed()
        #expect(embedded.status == 0, "\(embedded.errors)")
        #expect(embedded.output.contains("6 images") && embedded.output.contains("2 could not"))
        #expect(embedded.errors.contains("broken.jpg") && embedded.errors.contains("empty.png"))
        let object = try objects(try embed("--json"))[0]
        #expect((object["failed"] as? [Any])?.count == 2 && object["images"] as? Int == 6)

        try scratch.write(
            ImageEncoder.encodePNG(Scratch.picture(23, label: 1, index: 3)), to: "query.png")
        func search(_ more: String...) throws -> CommandResult {
            try Command.start(
                [
                    "search", scratch.path("query.png"), "--in", out, "--with",
                    scratch.path("run"), "--threads", "1",
                ] + more
            ).wait()
        }
        let found = try objects(try search("--top", "3", "--json"))[0]
        let alike = try #require(found["alike"] as? [[String: Any]])
        #expect(alike.count == 3)
        // The very image is found, and no bright one before the dark ones.
        #expect((alike[0]["name"] as? String)?.hasSuffix("photos/2024/1-3.png") == true)
        #expect(abs((alike[0]["cosine"] as? Double ?? 0) - 1) < 1e-4)
        #expect(alike.allSatisfy { ($0["name"] as? String)?.contains("2024/1-") == true })
        let sheet = try search("--top", "9", "--sheet", scratch.path("sheet.png"))
        #expect(sheet.status == 0, "\(sheet.errors)")
        // The query and all six images in one row.
        let picture = try ImageDecoder().decode(contentsOf: scratch.path("sheet.png"))
        #expect(picture.width > 7 * 170 && picture.width < 8 * 190)

        for (method, name) in [("pca", "map.png"), ("tsne", "map.svg")] {
            let map = try Command.run(
                "map", out, "--method", method, "--out", scratch.path(name), "--threads", "1")
            #expect(map.status == 0, "\(map.errors)")
        }
        #expect(try ImageDecoder().decode(contentsOf: scratch.path("map.png")).width > 900)
        let svg = String(decoding: try scratch.bytes("map.svg"), as: UTF8.self)
        #expect(svg.components(separatedBy: "<circle").count == 7)
    }

    @Test("A labelled data set keeps its classes")
    func labels() throws {
        let scratch = try trained()
        let out = scratch.path("test.safetensors")
        let embedded = try Command.run(
            "embed", scratch.path("data"), "--split", "test", "--with", scratch.path("run"),
            "--out", out, "--threads", "1")
        #expect(embedded.status == 0, "\(embedded.errors)")
        let map = try objects(
            try Command.run("map", out, "--method", "pca", "--out", scratch.path("m.svg"), "--json")
        )
        #expect((map[0]["labels"] as? [Int])?.count == 12)
        let svg = String(decoding: try scratch.bytes("m.svg"), as: UTF8.self)
        #expect(svg.contains("bright (6)") && svg.contains("dark (6)"))
        let search = try Command.run(
            "search", scratch.path("data/test/dark/0.png"), "--in", out, "--with",
            scratch.path("run"))
        #expect(search.output.contains("dark"), "\(search.errors)")
    }

    @Test("Features and images that do not fit")
    func badInput() throws {
        let scratch = try trained()
        let run = scratch.path("run")
        let out = scratch.path("features.safetensors")
        #expect(
            try Command.run("embed", scratch.path("data"), "--with", run, "--out", out).status == 0)
        let image = scratch.path("data/test/dark/0.png")
        expectFailure(
            try Command.run("search", scratch.path("none.png"), "--in", out, "--with", run),
            "none.png")
        let other = try Command.run(
            "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
            "--epochs", "1", "--seed", "5", "--threads", "1", "--quiet", "--out",
            scratch.path("other"))
        #expect(other.status == 0)
        expectFailure(
            try Command.run("search", image, "--in", out, "--with", scratch.path("other")),
            "another encoder")
        let whole = try scratch.bytes("features.safetensors")
        try scratch.write(whole.prefix(whole.count - 9), to: "cut.safetensors")
        for command in [
            ["search", image, "--in", scratch.path("cut.safetensors"), "--with", run],
            ["map", scratch.path("cut.safetensors"), "--out", scratch.path("m.png")],
        ] {
            expectFailure(try Command.start(command).wait(), "cut.safetensors", "truncated")
        }
        expectFailure(
            try Command.run("map", run + "/checkpoints/last.safetensors", "--out", "m.png"),
            "apus embed")
        try scratch.write([1], to: "nothing/file.txt")
        expectFailure(
            try Command.run("embed", scratch.path("nothing"), "--with", run, "--out", out),
            "has no images")
        expectFailure(
            try Command.run("probe", run, "--data", scratch.path("nothing")), "has no images")
        expectFailure(
            try Command.run("probe", "--weights", "nonsense", "--data", "fashion-mnist"),
            code: 2, "no weights called 'nonsense'", "efficientnet-lite0")
        expectFailure(
            try Command.run("probe", run, "--model", "resnet18", "--data", "fashion-mnist"),
            code: 2, "describes itself; leave out --model")
    }
}
