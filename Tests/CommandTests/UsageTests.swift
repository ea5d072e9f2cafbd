import ApusData
import Foundation
import Testing

@Suite("Usage of the command")
struct UsageTests {
    @Test(
        "Every command explains itself with an example",
        arguments: [
            [], ["train"], ["pretrain"], ["evaluate"], ["classify"], ["probe"], ["embed"],
            ["search"], ["map"], ["models"], ["scale"], ["doctor"], ["verify"], ["bench"],
            ["bench", "train"], ["bench", "infer"], ["bench", "data"], ["bench", "loss"],
            ["data"], ["data", "check"], ["pack"], ["convert"], ["weights"], ["weights", "fetch"],
            ["weights", "list"], ["lab"], ["report"],
        ])
    func help(_ command: [String]) throws {
        let result = try Command.start(command + ["--help"]).wait()
        #expect(result.status == 0)
        #expect(result.output.contains("Example"))
        #expect(result.errors.isEmpty)
    }

    @Test("Output that cannot be written is an error")
    func fullOutput() throws {
        expectFailure(
            try Command.run("models", "resnet20-cifar", shell: "exec >/dev/full"),
            "standard output")
    }

    @Test("A network that needs more memory than the process may use is refused")
    func memoryLimit() throws {
        expectFailure(
            try Command.run(
                "bench", "train", "--model", "resnet50", "--batch", "256", "--threads", "1",
                shell: "ulimit -v 4000000"), "smaller batch")
    }

    @Test("The version is printed")
    func version() throws {
        let result = try Command.run("--version")
        #expect(result.status == 0 && result.output.contains("0.1"))
    }

    @Test(
        "Wrong usage is one line and exit code 2",
        arguments: [
            ["trian"], ["--nonsense"], ["train"], ["train", "--out", "x", "--epochs", "many"],
            ["train", "--out", "x", "--epochs", "0"], ["train", "--out", "x", "--lr", "nan"],
            ["train", "--out", "x", "--batch", "99999999999999999999"],
            ["train", "--out", "x", "--seed", "-1"], ["train", "--out", ""],
            ["train", "--out", "x", "--optimizer", "magic"], ["train", "--out", "/nonexistent/x"],
            ["train", "--out", "x", "--optimizer", "adamw", "--nesterov"],
            ["train", "--out", "x", "--channels", "2"], ["train", "--out", "x", "--momentum", "2"],
            ["evaluate"], ["evaluate", "x", "--split", "both"],
            ["evaluate", "x", "--mean", "1,a,2"],
            ["classify"], ["classify", "x"], ["classify", "x", "a.png", "--samples", "3"],
            ["classify", "x", "a.png", "--top", "0"], ["models", "--side", "0", "resnet18"],
            ["models", "--program"], ["doctor", "--threads", "0"],
            ["probe"], ["probe", "x", "--seeds", "0"], ["probe", "x", "--fine-tune", "1,101"],
            ["probe", "x", "--fine-tune", "few"], ["probe", "x", "--baselines", "best"],
            ["probe", "x", "--fine-tune", "1,10", "--epochs", "1,2,3"], ["embed", "x"],
            ["search", "--in", "x", "--with", "y"], ["map", "x", "--out", "map.gif"],
            ["bench", "train", "--steps", "0"], ["bench", "infer", "--side", "1000000000"],
            ["bench", "data"], ["bench", "data", "--data", "x", "--views", "simsiam"],
            ["train", "--out", "x", "--max-pixels", "0"],
        ])
    func wrongUsage(_ arguments: [String]) throws {
        expectFailure(try Command.start(arguments).wait(), code: 2, "--help")
    }

    @Test("A command that is not known suggests one that is nearly spelled so")
    func unknownCommand() throws {
        expectFailure(
            try Command.run("tran", "--out", "x"), code: 2, "unknown command 'tran'", "'train'")
        let far = try Command.run("resnet18")
        expectFailure(far, code: 2, "unknown command 'resnet18'; see `apus --help`")
    }

    @Test("A model that is not known suggests the nearest")
    func unknownModel() throws {
        expectFailure(try Command.run("models", "resnet81"), "did you mean 'resnet")
        expectFailure(
            try Command.run(
                "train", "--data", "fashion-mnist", "--model", "resnet21-cifar", "--out", "x"),
            "'resnet20-cifar'")
        expectFailure(try Command.run("models", "resnet602000000-cifar"), "unknown model")
    }

    @Test("Models are listed with known numbers")
    func models() throws {
        let list = try Command.run("models")
        #expect(list.status == 0 && list.output.contains("resnet50"))
        let one = try Command.run("models", "resnet50", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(one.output.utf8))
        let fields = try #require(object as? [String: Any])
        #expect(fields["parameters"] as? Int == 25_557_032)
        #expect((fields["layers"] as? [Any])?.isEmpty == false)
        let program = try Command.run("models", "resnet20-cifar", "--program")
        #expect(program.output.contains("-- gradients --"))
    }

    @Test("The doctor measures the machine")
    func doctor() throws {
        let result = try Command.run("doctor", "--json", "--threads", "1")
        #expect(result.status == 0, "\(result.errors)")
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        let fields = try #require(object as? [String: Any])
        let peak = try #require(fields["float32_gflops"] as? Double)
        // Anything that runs Swift does more than half a billion operations a second.
        #expect(peak > 0.5 && peak < 10_000)
        #expect((fields["bandwidth_gb_per_s"] as? Double ?? 0) > 0.1)
    }

    @Test("Errors name a path as it was given")
    func paths() throws {
        let result = try Command.start(
            ["evaluate", "../no/such.file", "--data", "fashion-mnist"]
        ).wait()
        #expect(result.status == 1)
        #expect(result.errors.contains(" ../no/such.file"), "\(result.errors)")
    }
}
