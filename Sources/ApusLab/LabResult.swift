import ApusReport
import ApusRuntime
import Foundation

/// Everything a page says: the content of `results.json`.
public struct LabResult: Codable, Sendable {
    public var name: String
    public var title: String
    public var claim: String
    public var paper: String
    public var criteria: [Criterion]
    public var findings: Findings
    /// By criterion, in order.
    public var verdicts: [Verdict]
    public var verdict: Verdict
    public var minutes: Double
    /// What the run took.
    public var seconds = 0.0
    public var seeds: Int
    public var data: String
    public var isSabotaged: Bool
    public var plans: [String]
    public var machine: String
    /// What runs it again.
    public var command: String

    package init(
        _ experiment: any Experiment, _ findings: Findings, _ options: LabOptions,
        minutes: Double, plans: [String]
    ) {
        name = experiment.name
        title = experiment.title
        claim = experiment.claim
        paper = experiment.paper
        criteria = experiment.criteria
        self.findings = findings
        verdicts = experiment.criteria.map { $0.judge(findings.measured[$0.key]) }
        verdict = Verdict.all(criteria, verdicts)
        self.minutes = minutes
        seeds = options.seeds
        data = options.data
        isSabotaged = options.sabotage
        self.plans = plans
        machine =
            "\(Machine.processor), \(options.threads) threads, "
            + "\(Machine.memoryBytes >> 30) GiB of memory, oneDNN \(Machine.libraryVersion)"
        command =
            "apus lab \(experiment.name) --budget \(NumberText.short(minutes, digits: 6)) "
            + "--seeds \(options.seeds) --data \(options.data)"
            + (options.photo.map { " --photo \($0)" } ?? "")
            + (options.sabotage ? " --sabotage" : "") + " --threads \(options.threads)"
    }

    /// Whether another result is of the same request.
    func matches(_ other: LabResult) -> Bool {
        command == other.command && plans == other.plans && machine == other.machine
    }
}
