import Apus
import ApusLab
import ArgumentParser
import Foundation

struct LabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Tries claims of papers on this machine.",
        discussion: """
            Every experiment writes its claim, what it measured and its verdict to a page in \
            OUT/NAME. Finished parts are kept: the same command goes on where it was stopped. \
            Without a name, it lists the experiments.

            Example: apus lab degradation --budget 10
            Example: apus lab all --budget 3 --out runs/lab
            """)

    @Argument(help: "An experiment, or all.")
    var name: String?

    @Option(help: "Minutes for each experiment. (default: its own; `apus lab` lists them)")
    var budget: Double?

    @Option(help: "Times every training is repeated with other random numbers.")
    var seeds = 3

    @Option(help: "Where pages and finished parts go.")
    var out = "runs/lab"

    @Option(help: "What is learned: fashion-mnist, cifar10:DIR or another set with both splits.")
    var data = "fashion-mnist"

    @Option(help: "A JPEG or PNG picture for the experiment layers. (default: a cat)")
    var photo: String?

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Flag(help: "Only make the pages again from the results that are there.")
    var rebuild = false

    @Flag(help: "Remove the shortcuts of residual networks, to see that verdicts notice.")
    var sabotage = false

    @Flag(help: "Print one JSON object an experiment.")
    var json = false

    func validate() throws {
        try require(budget, in: 0.001...100_000, "--budget")
        try require(seeds, in: 1...100, "--seeds")
        try require(threads, in: 1...1024, "--threads")
        if out.isEmpty { throw ValidationError("--out needs the name of a folder") }
        if let name, name != "all", !Lab.experiments.contains(where: { $0.name == name }) {
            throw ValidationError(
                "there is no experiment '\(name)'; there are all, "
                    + Lab.experiments.map(\.name).joined(separator: ", "))
        }
    }

    func run() throws {
        guard let name else { return try list() }
        let chosen = name == "all" ? Lab.experiments : [try Lab.experiment(name)]
        var options = LabOptions()
        options.minutes = budget
        options.seeds = seeds
        options.out = out
        options.data = data
        options.photo = photo
        options.threads = threads ?? options.threads
        options.sabotage = sabotage
        Interrupt.install()
        let status = StatusLine()
        for experiment in chosen {
            do {
                let result =
                    try rebuild
                    ? Lab.rebuild(experiment.name, out: out)
                    : Lab.run(
                        experiment, options, shouldStop: { Interrupt.received != nil },
                        report: { line in status.update("\(experiment.name): \(line)") })
                status.clear()
                try tell(result)
                try Lab.writeIndex(out: out)
            } catch is LabInterrupted {
                status.clear()
                Terminal.note(
                    "stopped; what is finished is kept in \(out). The same command goes on from there"
                )
                throw ExitCode(128 + (Interrupt.received ?? 2))
            }
        }
        if !json { print("pages: \(out)/index.html") }
    }

    private func list() throws {
        if json {
            for experiment in Lab.experiments { try printJSON(ExperimentLine(experiment)) }
            return
        }
        var table = Table(("experiment", .left), ("minutes", .right), ("what it tries", .left))
        for experiment in Lab.experiments {
            table.add(
                experiment.name, String(format: "%g", experiment.minutes), experiment.title)
        }
        table.print()
    }

    private func tell(_ result: LabResult) throws {
        if json { return try printJSON(ResultLine(result, out)) }
        print("\(result.name): the claim \(result.verdict.words)")
        for (criterion, verdict) in zip(result.criteria, result.verdicts) {
            let estimate = result.findings.measured[criterion.key]
            let value = estimate.map { String(format: "%.4g", $0.mean) } ?? "not measured"
            print("  \(criterion.quantity): \(value), \(verdict.words)")
        }
    }
}

private struct ExperimentLine: Encodable {
    var name: String
    var title: String
    var claim: String
    var minutes: Double

    init(_ experiment: any Experiment) {
        name = experiment.name
        title = experiment.title
        claim = experiment.claim
        minutes = experiment.minutes
    }
}

private struct ResultLine: Encodable {
    struct Quantity: Encodable {
        var key: String
        var mean: Double?
        var low: Double?
        var high: Double?
        var verdict: String
    }

    var name: String
    var verdict: String
    var quantities: [Quantity]
    var page: String
    var seconds: Double

    init(_ result: LabResult, _ out: String) {
        name = result.name
        verdict = result.verdict.rawValue
        page = "\(out)/\(result.name)/index.html"
        seconds = result.seconds
        quantities = zip(result.criteria, result.verdicts).map { criterion, verdict in
            let estimate = result.findings.measured[criterion.key]
            return Quantity(
                key: criterion.key, mean: estimate?.mean, low: estimate?.interval.lowerBound,
                high: estimate?.interval.upperBound, verdict: verdict.rawValue)
        }
    }
}
