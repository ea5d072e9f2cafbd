import Apus
import ArgumentParser
import Foundation

struct ApusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Trains, pretrains, studies and serves convolutional image networks.",
        discussion:
            "Example: apus train --data fashion-mnist --model resnet20-cifar --out runs/first",
        version: "0.1.0",
        subcommands: [
            TrainCommand.self, PretrainCommand.self, EvaluateCommand.self, ClassifyCommand.self,
            ProbeCommand.self, EmbedCommand.self, SearchCommand.self, MapCommand.self,
            ModelsCommand.self, ScaleCommand.self, DoctorCommand.self, VerifyCommand.self,
            BenchCommand.self, DataCommand.self, PackCommand.self, ConvertCommand.self,
            WeightsCommand.self, LabCommand.self, ReportCommand.self,
        ])
}

/// Runs the command: 0 for success, 1 for a task that failed, 2 for wrong usage; every failure is
/// one line on standard error.
@main
enum Main {
    static func main() {
        // A file that may not grow is an error of the write, not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
        do {
            var command = try ApusCommand.parseAsRoot()
            try command.run()
            guard fflush(nil) == 0 else {
                throw CommandError(
                    "standard output cannot be written: \(String(cString: strerror(errno))); free "
                        + "space or write it elsewhere")
            }
        } catch {
            fflush(nil)
            finish(error)
        }
    }

    private static func finish(_ error: any Error) -> Never {
        if let code = error as? ExitCode { exit(code.rawValue) }
        switch ApusCommand.exitCode(for: error) {
        case .success:
            // --help and --version.
            print(ApusCommand.fullMessage(for: error))
            exit(0)
        case .validationFailure:
            let problem = oneLine(unknownCommand ?? ApusCommand.message(for: error))
            Terminal.note("apus: " + problem + usageHint(error))
            exit(2)
        default:
            Terminal.note("apus: " + oneLine(error.brief))
            exit(1)
        }
    }

    /// A first word that names no command: the parser only calls it unexpected.
    private static var unknownCommand: String? {
        let names =
            ["help"]
            + ApusCommand.configuration.subcommands.compactMap { $0.configuration.commandName }
        guard let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-"),
            !names.contains(word)
        else { return nil }
        let similar = names.map { ($0, Models.editDistance(String(word.prefix(100)), $0)) }
            .min { $0.1 < $1.1 }
        let suggestion = similar.map { $0.1 <= 2 ? " (did you mean '\($0.0)'?)" : "" } ?? ""
        return "unknown command '\(word)'\(suggestion)"
    }

    /// Where to read on, for the subcommand the usage is of.
    private static func usageHint(_ error: any Error) -> String {
        let usage = ApusCommand.fullMessage(for: error).split(separator: "\n")
            .first { $0.hasPrefix("Usage: ") }
        let words =
            usage?.split(separator: " ").dropFirst()
            .prefix { $0.allSatisfy { $0.isLetter || $0 == "-" } && !$0.hasPrefix("-") } ?? ["apus"]
        return "; see `\(words.joined(separator: " ")) --help`"
    }

    private static func oneLine(_ text: String) -> String {
        var line = text.split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }
            .joined(separator: " ")
        // A path may begin with dots; only what ends a sentence goes.
        while let last = line.last, ".:".contains(last) { line.removeLast() }
        return line
    }
}
