import Foundation
import Testing

@Suite("Scaling networks")
struct ScaleTests {
    private func objects(_ result: CommandResult) throws -> [[String: Any]] {
        #expect(result.status == 0, "\(result.errors)")
        return try result.output.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test("Each phi is one object with everything it costs")
    func json() throws {
        let lines = try objects(
            Command.run("scale", "--base", "efficientnet-b0", "--phi", "0...2", "--json"))
        #expect(lines.map { $0["phi"] as? Double } == [0, 1, 2])
        #expect(lines[0]["parameters"] as? Int == 5_288_548)
        #expect(lines[0]["multiply_adds"] as? Int == 385_814_752)
        #expect(lines[0]["input"] as? [Int] == [3, 224, 224])
        #expect(lines[1]["depth"] as? Double == 1.2 && lines[1]["resolution"] as? Double == 1.15)
        #expect(lines[1]["depths"] as? [Int] == [1, 2, 3, 3, 4, 4, 5, 2, 1])
        let bytes = lines.compactMap { $0["step_bytes"] as? Int }
        #expect(bytes.count == 3 && bytes[0] > 100 << 20 && bytes == bytes.sorted())
        #expect(lines.allSatisfy { $0["inference_ms"] == nil })
    }

    @Test("One phi, several, none and other dimensions")
    func choices() throws {
        let one = try objects(
            Command.run(
                "scale", "--base", "plain20-cifar", "--phi", "0,1.5", "--dimension", "width",
                "--json"))
        #expect(one.count == 2 && one[1]["depth"] as? Double == 1)
        let text = try Command.run(
            "scale", "--base", "densenet40-cifar", "--within", "300M-macs", "--compare")
        for word in ["compound", "depth", "width", "resolution", "multiply-adds are those of"] {
            #expect(text.output.contains(word), "\(text.errors)")
        }
    }

    @Test("Limits hold", arguments: ["40M-macs", "0.5M-parameters", "60MiB"])
    func limits(limit: String) throws {
        let line = try #require(
            try objects(
                Command.run(
                    "scale", "--base", "resnet20-cifar", "--within", limit, "--json")
            ).first)
        let cost =
            switch limit {
            case "40M-macs": Double(line["multiply_adds"] as? Int ?? .max) / 40e6
            case "60MiB": Double(line["step_bytes"] as? Int ?? .max) / Double(60 << 20)
            default: Double(line["parameters"] as? Int ?? .max) / 5e5
            }
        #expect(cost <= 1 && cost > 0.5)
    }

    @Test("Times are measured on request")
    func times() throws {
        let line = try #require(
            try objects(
                Command.run(
                    "scale", "--base", "resnet8-cifar", "--phi", "0", "--batch", "2", "--measure",
                    "--threads", "1", "--json")
            ).first)
        #expect((line["step_ms"] as? Double ?? 0) > 0)
        #expect((line["inference_ms"] as? Double ?? 0) > 0)
        let found = try objects(
            Command.run(
                "scale", "--base", "resnet20-cifar", "--side", "16", "--within", "2ms", "--threads",
                "1",
                "--json"))
        #expect((found.first?["inference_ms"] as? Double ?? 0) > 0)
    }

    @Test("Searches sort what they try")
    func search() throws {
        let times = try objects(
            Command.run(
                "scale", "--base", "resnet8-cifar", "--side", "12", "--search", "inference-time",
                "--grid-step", "0.4", "--threads", "1", "--json"))
        let ratios = times.compactMap { $0["cost_ratio"] as? Double }
        #expect(ratios.count >= 3 && ratios == ratios.sorted())

        let scratch = try Scratch()
        try scratch.writeClasses()
        let proxies = try objects(
            Command.run(
                "scale", "--base", "resnet20-cifar", "--search", "proxy", "--data",
                scratch.path("data"), "--proxy-steps", "2", "--batch", "8", "--grid-step", "0.2",
                "--rounds", "2", "--threads", "1", "--json"))
        let rounds = proxies.compactMap { $0["round"] as? Int }
        #expect(rounds.first == 2 && rounds.last == 1 && rounds == rounds.sorted(by: >))
        for round in 1...2 {
            let scores = proxies.filter { $0["round"] as? Int == round }
                .compactMap { $0["accuracy"] as? Double }
            #expect(!scores.isEmpty && scores == scores.sorted(by: >))
        }
        for line in proxies { #expect((line["cost_ratio"] as? Double ?? 9) <= 2) }
        let timed = try Command.run(
            "scale", "--base", "resnet20-cifar", "--search", "proxy", "--data",
            scratch.path("data"),
            "--budget", "step-time", "--proxy-steps", "2", "--batch", "8", "--grid-step", "0.5",
            "--threads", "1")
        // What is measured is told before the first training; what is found depends on the machine's mood.
        #expect(timed.errors.hasPrefix("measured 1: "), "\(timed.errors)")
    }

    @Test(
        "Wrong usage is one line and exit code 2",
        arguments: [
            [], ["--phi", "x"], ["--phi", "3...1"], ["--phi", "1..2"], ["--phi", "0,,1"],
            ["--phi", "99"], ["--phi", "nan"], ["--phi", "0...inf"], ["--within", "5"],
            ["--within", "-5ms"], ["--within", "5QiB"], ["--within", "nanms"],
            ["--within", "5M-macs", "--phi", "1"], ["--alpha", "0"], ["--grid-step", "0"],
            ["--search", "proxy"], ["--search", "luck"], ["--search", "step-time", "--measure"],
            ["--data", "x"], ["--rounds", "2"], ["--dimension", "time"],
            ["--compare", "--dimension", "depth"],
            ["--divisor", "0"], ["--batch", "0"],
        ])
    func usage(arguments: [String]) throws {
        let base = arguments.isEmpty ? [] : ["--base", "resnet8-cifar"]
        expectFailure(try Command.start(["scale"] + base + arguments).wait(), code: 2)
    }

    @Test("What cannot be done says why")
    func failures() throws {
        expectFailure(
            try Command.run("scale", "--base", "resnet9"), "unknown model 'resnet9'", "resnet18")
        expectFailure(
            try Command.run("scale", "--base", "resnet8-cifar", "--within", "1-parameters"),
            "1-parameters lies beyond")
    }
}
