import Foundation
import Testing

@Suite("Pages of the command", .serialized)
struct LabReportTests {
    @Test("A report of two runs has their curves and mistakes")
    func report() throws {
        let scratch = try Scratch()
        try scratch.writeClasses()
        for (name, epochs) in [("one", "1"), ("two", "2")] {
            let train = try Command.run(
                "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
                "--epochs", epochs, "--lr", "0.0001", "--threads", "1", "--out", scratch.path(name))
            #expect(train.status == 0, "\(train.errors)")
        }
        let result = try Command.run(
            "report", scratch.path("one"), scratch.path("two"), "--out", scratch.path("page.html"),
            "--threads", "1")
        #expect(result.status == 0, "\(result.errors)")
        let page = String(decoding: try scratch.bytes("page.html"), as: UTF8.self)
        for words in [
            "one, training", "two, test", "learning rate", "images a second", "was taken for",
            "norm of all gradients", "bright", "most certain",
        ] { #expect(page.contains(words), "\(words)") }
        let alone = try Command.run("report", scratch.path("two"), "--skip-tests", "--json")
        #expect(alone.status == 0 && alone.output.contains("report.html"))
        #expect(scratch.exists("two/report.html"))

        expectFailure(try Command.run("report", scratch.path("data")), "recipe.json", "apus train")
        expectFailure(try Command.run("report"), code: 2)
        try scratch.write(Array("{\"phase\":\n".utf8), to: "one/metrics.jsonl")
        expectFailure(try Command.run("report", scratch.path("one")), "line 1", "metrics.jsonl")
        // Data that has gone away leaves the curves.
        try FileManager.default.removeItem(atPath: scratch.path("data"))
        let without = try Command.run("report", scratch.path("two"))
        #expect(without.status == 0 && without.errors.contains("was not tested"))
    }

    @Test("The lab lists its experiments, runs one and makes its page again")
    func lab() throws {
        let scratch = try Scratch()
        try scratch.writeClasses(side: 12, train: 64, test: 20)
        let list = try Command.run("lab")
        #expect(list.status == 0 && list.output.contains("degradation"))
        let arguments = [
            "lab", "layers", "--budget", "0.01", "--seeds", "2", "--data", scratch.path("data"),
            "--threads", "1", "--out", scratch.path("lab"),
        ]
        let run = try Command.start(arguments + ["--json"]).wait()
        #expect(run.status == 0, "\(run.errors)")
        let object = try JSONSerialization.jsonObject(with: Data(run.output.utf8))
        #expect((object as? [String: Any])?["name"] as? String == "layers")
        let page = try scratch.bytes("lab/layers/index.html")
        #expect(scratch.exists("lab/index.html") && scratch.exists("lab/layers/results.json"))
        try FileManager.default.removeItem(atPath: scratch.path("lab/layers/index.html"))
        #expect(try Command.start(arguments + ["--rebuild"]).wait().status == 0)
        #expect(try scratch.bytes("lab/layers/index.html") == page)

        expectFailure(try Command.run("lab", "nonsense"), code: 2, "nonsense", "layers")
        expectFailure(try Command.run("lab", "layers", "--seeds", "0"), code: 2, "--seeds")
        expectFailure(try Command.run("lab", "layers", "--budget", "-1"), code: 2, "--budget")
        expectFailure(
            try Command.run(
                "lab", "layers", "--data", scratch.path("data"), "--photo",
                scratch.path("none.jpg"), "--budget", "0.01", "--out", scratch.path("lab2")),
            "none.jpg")
        expectFailure(
            try Command.run("lab", "layers", "--rebuild", "--out", scratch.path("lab3")),
            "results.json")
        expectFailure(
            try Command.run(
                "lab", "layers", "--budget", "0.01", "--data", "/nowhere", "--out",
                scratch.path("lab4")), "/nowhere")
    }
}
