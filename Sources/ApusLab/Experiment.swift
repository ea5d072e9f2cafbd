import ApusGraph
import ApusReport

/// A claim of a paper and the way it is tried. One file in `Experiments/` is one experiment, and
/// nothing else has to know of it: the list is made when the package is built.
public protocol Experiment: Sendable {
    init()
    /// What `apus lab NAME` calls it.
    var name: String { get }
    var title: String { get }
    /// In plain words.
    var claim: String { get }
    /// Where the claim stands.
    var paper: String { get }
    /// What decides, before any run.
    var criteria: [Criterion] { get }
    /// The usual budget.
    var minutes: Double { get }
    /// Tries it. What takes long goes through the context, which keeps it.
    func run(_ lab: LabContext) throws -> Findings
}

/// What a run found.
public struct Findings: Hashable, Codable, Sendable {
    /// The criteria's quantities by key; one that could not be measured is left out.
    public var measured: [String: Estimate] = [:]
    /// What was run, one line each: networks, data, recipes.
    public var setup: [String] = []
    /// What there is to see, in words.
    public var remarks: [String] = []
    public var figures: [Figure] = []
    /// Our figures beside the paper's.
    public var comparison = DataTable([])

    public init() {}

    /// Draws what was trained, unless a figure does.
    mutating func draw(_ networks: [Network]) {
        let isDrawn = figures.contains { if case .networks = $0 { true } else { false } }
        if isDrawn || networks.isEmpty { return }
        let title = networks.count == 1 ? "The network" : "The networks"
        figures.append(.networks(NetworkStrips(title, networks)))
    }
}

/// Why an experiment cannot start or go on: one clear line with the remedy.
public struct LabError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Someone asked to stop; everything that is finished is kept.
public struct LabInterrupted: Error, Hashable, Sendable {}
