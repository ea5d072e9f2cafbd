import Apus
import ApusReport
import ArgumentParser
import Foundation

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Makes a page of runs: curves, mistakes, several runs side by side.",
        discussion: """
            The page needs nothing but itself. TensorBoard reads run folders, too: \
            tensorboard --logdir RUN.

            Example: apus report runs/first
            Example: apus report runs/simclr
            Example: apus report runs/first runs/second --out comparison.html
            """)

    @Argument(help: "Run folders that `apus train` or `apus pretrain` made.")
    var runs: [String]

    @Option(help: "The page. (default: report.html in the first run folder)")
    var out: String?

    @Flag(help: "Only show what the runs noted; do not look at test images.")
    var skipTests = false

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Flag(help: "Print one JSON object a run.")
    var json = false

    func validate() throws {
        if runs.isEmpty { throw ValidationError("give one run folder or several") }
        try require(threads, in: 1...1024, "--threads")
    }

    func run() throws {
        var configuration = Session.Configuration()
        configuration.threads = threads ?? configuration.threads
        var summaries = try runs.map { try RunSummary($0) }
        let status = StatusLine()
        if !skipTests {
            for index in summaries.indices {
                summaries[index].evaluate(configuration: configuration) { share in
                    status.update("\(StatusLine.bar(share)) testing \(runs[index])")
                }
            }
        }
        status.clear()
        let path = out ?? runs[0] + "/report.html"
        let html = try RunPage.page(summaries).html
        try AtomicFile.write(to: path) { try $0.write(html) }
        for summary in summaries {
            if json { try printJSON(Line(summary, path)) }
            if let problem = summary.problem {
                Terminal.note("note: \(summary.path) was not tested: \(problem)")
            }
        }
        if !json { print("page: \(path)") }
    }

    private struct Line: Encodable {
        var run: String
        var page: String
        var steps: Int
        var top1: Double?
        var problem: String?

        init(_ summary: RunSummary, _ page: String) {
            run = summary.path
            self.page = page
            steps = summary.metrics.last?.step ?? 0
            top1 = summary.evaluation?.top1
            problem = summary.problem
        }
    }
}
