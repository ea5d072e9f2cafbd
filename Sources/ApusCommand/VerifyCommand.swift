import Apus
import ArgumentParser
import Foundation

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compares the engine with results of PyTorch in 64-bit floats.",
        discussion: """
            Prints the largest relative error of logits, loss, gradients and updated weights (by their \
            norms and by the elements that the file has); fails past 1e-4 for logits and 1e-3 for \
            gradients; in bf16 past 3e-2 for logits and loss. Where rounding the weights alone moves \
            the training pass further than that, it prints how far and fails past twice that.

            Example: apus verify Tests/Fixtures/resnet20-cifar.json
            """)

    @Argument(help: "Reference files.")
    var files: [String]

    @Option(help: "Threads of the engine; all cores by default.")
    var threads: Int?

    @Option(help: "Number format of images.")
    var precision = PrecisionName.fp32

    @Flag(help: "Fail past the tolerances themselves, whatever rounding does.")
    var strict = false

    @Flag(help: "Print one JSON object a file.")
    var json = false

    func validate() throws { try require(threads, in: 1...1024, "--threads") }

    func run() throws {
        var failed = 0
        for path in files {
            var configuration = Session.Configuration()
            if let threads { configuration.threads = threads }
            configuration.precision = precision.precision
            let data = try MappedFile.read(path)
            let result: Verification
            do {
                let file = try JSONDecoder().decode(ReferenceFile.self, from: data)
                result = try Verification(file, configuration: configuration)
            } catch {
                throw CommandError(
                    "\(path): \(error.brief); give a file of results such as "
                        + "Tests/Fixtures/resnet20-cifar.json")
            }
            let passes = strict ? result.isWithinTolerance : result.passes
            if !passes { failed += 1 }
            if json {
                try printJSON(result)
            } else {
                print(
                    "\(passes ? "pass" : "FAIL")  \(path): "
                        + "logits \(scientific(result.evalLogits)) (eval) "
                        + "\(scientific(result.trainLogits)) (train), "
                        + "loss \(scientific(result.loss)), "
                        + "gradients \(scientific(result.gradients)) (\(result.worstGradient)), "
                        + "updates \(scientific(result.updates)) (\(result.worstUpdate)), "
                        + "elements \(scientific(result.elements)) (\(result.worstElements))"
                        + (result.rounding.map {
                            "; rounding alone moves logits by \(scientific($0.logits)), "
                                + "gradients by \(scientific($0.gradients)) (norms) and "
                                + "\(scientific($0.elements)) (elements)"
                        } ?? ""))
            }
        }
        if failed > 0 { throw CommandError("\(failed) of \(files.count) files failed") }
    }

    private func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}
