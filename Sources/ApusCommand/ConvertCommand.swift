import Apus
import ArgumentParser
import Foundation

/// The formats weights are written in.
enum WeightsFormat: String, ExpressibleByArgument, CaseIterable {
    case safetensors, onnx
}

struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Writes weights for other programs, or compares a file's with a network's.",
        discussion: """
            Reads a run folder, safetensors, PyTorch's .pth, or the name of fetched weights. Writes \
            safetensors with torchvision's names, which it loads strictly, or ONNX with a batch of any \
            size. Both say how images are prepared and what the classes are called.

            Example: apus convert runs/first first.safetensors
            Example: apus convert resnet18.pth resnet18.onnx --model resnet18 --fold --verify
            Example: apus convert strange.pth --report --model resnet50
            """)

    @OptionGroup var options: ModelOptions

    @Argument(help: "The file to write: .safetensors or .onnx.")
    var files: [String] = []

    @Option(help: "The format to write. (default: what the file's name says)")
    var to: WeightsFormat?

    @Flag(help: "Make normalizations part of the convolutions before them. (ONNX)")
    var fold = false

    @Flag(help: "Run the written file in ONNX Runtime through Python and compare. (ONNX)")
    var verify = false

    @Option(help: "The Python that has onnxruntime. (default: python3 on PATH)")
    var python: String?

    @Flag(help: "Print which names and shapes match the network, and what comes nearest.")
    var report = false

    @Flag(help: "Print one JSON object.")
    var json = false

    private var output: String? { options.following(files).first }

    /// nil where nothing is written.
    private func format() throws -> WeightsFormat? {
        guard let output else { return nil }
        if let to { return to }
        if output.hasSuffix(".safetensors") { return .safetensors }
        if output.hasSuffix(".onnx") { return .onnx }
        throw ValidationError(
            "'\(output)' does not say its format; end it in .safetensors or .onnx, or give --to")
    }

    func validate() throws {
        guard options.following(files).count <= 1 else {
            throw ValidationError("give one file to write")
        }
        let format = try format()
        if output == nil, !report { throw ValidationError("give a file to write, or --report") }
        for (isGiven, option) in [(fold, "--fold"), (verify, "--verify")]
        where isGiven && format != .onnx {
            throw ValidationError("\(option) goes with ONNX files")
        }
        if python != nil, !verify { throw ValidationError("--python goes with --verify") }
    }

    func run() throws {
        var line = ConvertLine(file: options.name)
        if report {
            let parity = try options.parity()
            line.report = parity
            if !json { show(parity) }
            guard parity.isExact || output == nil else {
                throw CommandError("\(options.name) does not fit; nothing was written")
            }
        }
        if let output, let format = try format() {
            // A Python that is not there is known before minutes of work.
            let python = verify ? try PythonTool(self.python) : nil
            let model = try options.load(data: nil)
            switch format {
            case .safetensors: try model.writeSafetensors(to: output)
            case .onnx: try model.onnx(folded: fold).write(to: output)
            }
            line.output = output
            line.model = model.network.name
            if !json { print("wrote \(output), \(model.network.name)") }
            if let python {
                let check = try ONNXCheck(
                    output, model: model, python: python, configuration: options.configuration)
                line.largest_relative_error = check.largestError
                line.onnxruntime = check.runtime
                let error = String(format: "%.1e", check.largestError)
                if !json {
                    print(
                        "ONNX Runtime \(check.runtime) agrees up to \(error) of the largest logit, "
                            + "batches of \(check.batches.map(String.init).joined(separator: " and "))"
                    )
                }
                if json { try printJSON(line) }
                guard check.passes else {
                    throw CommandError(
                        "\(output): ONNX Runtime's logits differ by \(error), more than "
                            + "\(ONNXCheck.tolerance); do not use the file")
                }
                return
            }
        }
        if json { try printJSON(line) }
        if let report = line.report, !report.isExact { throw ExitCode(1) }
    }

    private func show(_ report: ParityReport) {
        var table = Table(
            ("", .left), ("name", .left), ("shape", .left), ("nearest, or the file's shape", .left))
        for difference in report.differing {
            table.add(
                "differs", difference.name, difference.network.description,
                difference.file.description)
        }
        for (kind, strangers) in [("missing", report.missing), ("not used", report.unused)] {
            for stranger in strangers {
                table.add(
                    kind, stranger.entry.name, stranger.entry.shape.description,
                    stranger.candidates.map { "\($0.name) (\($0.shape))" }
                        .joined(separator: ", "))
            }
        }
        if !report.isExact { table.print() }
        print(report.summary)
    }
}

/// The names are those other tools read.
private struct ConvertLine: Encodable {
    var file: String
    var model: String?
    var output: String?
    var largest_relative_error: Double?
    var onnxruntime: String?
    var report: ParityReport?

    init(file: String) { self.file = file }
}
