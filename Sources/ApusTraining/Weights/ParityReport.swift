import ApusFiles
import ApusModels
import ApusTensor

/// How the tensors of a file compare with those a network has: which match, and for those that do
/// not what comes nearest.
public struct ParityReport: Hashable, Codable, Sendable {
    /// A name with its shape.
    public struct Entry: Hashable, Codable, Sendable {
        public let name: String
        public let shape: Shape
    }

    /// A name of the network and of the file whose shapes differ.
    public struct Difference: Hashable, Codable, Sendable {
        public let name: String
        public let network: Shape
        public let file: Shape
    }

    /// A name that only one side has, and the nearest that only the other has: of the same shape if
    /// there is one, by edit distance.
    public struct Stranger: Hashable, Codable, Sendable {
        public let entry: Entry
        public let candidates: [Entry]
    }

    public let matched: [String]
    public let differing: [Difference]
    /// What the network needs and the file lacks.
    public let missing: [Stranger]
    /// What the file has and the network does not; counters of batches are no loss.
    public let unused: [Stranger]

    /// Whether the weights can be used: the network gets everything.
    public var isComplete: Bool { differing.isEmpty && missing.isEmpty }
    /// Whether the two name the same tensors.
    public var isExact: Bool { isComplete && unused.isEmpty }

    /// Compares what a network has with what `file` has.
    public init(network: [(name: String, shape: Shape)], file: TensorFile) {
        var matched: [String] = []
        var differing: [Difference] = []
        var missing: [Entry] = []
        for (name, shape) in network {
            switch file[name]?.shape {
            case nil: missing.append(Entry(name: name, shape: shape))
            case shape: matched.append(name)
            case let other?:
                differing.append(Difference(name: name, network: shape, file: other))
            }
        }
        let known = Set(network.map(\.name))
        let unused = file.tensors
            .filter { !known.contains($0.name) && !$0.name.hasSuffix("num_batches_tracked") }
            .map { Entry(name: $0.name, shape: $0.tensor.shape) }
        self.matched = matched
        self.differing = differing
        let files = Candidates(unused)
        self.missing = missing.map { Stranger(entry: $0, candidates: files.nearest(to: $0)) }
        let networks = Candidates(missing)
        self.unused = unused.prefix(Self.maximumStrangers).map {
            Stranger(entry: $0, candidates: networks.nearest(to: $0))
        }
        unusedCount = unused.count
    }

    /// A file may hold any number of tensors that are of no use; so many are listed.
    static let maximumStrangers = 500
    /// How many names of the file the network does not have, listed or not.
    public let unusedCount: Int

    /// The worst problem in a few words, nil if there is none.
    public var worstProblem: String? {
        if let difference = differing.first {
            return "'\(difference.name)' is \(difference.file), the network has "
                + "\(difference.network)"
        }
        if let stranger = missing.first {
            return "has no '\(stranger.entry.name)' (\(stranger.entry.shape))"
                + (stranger.candidates.first.map { "; nearest is '\($0.name)' (\($0.shape))" }
                    ?? "")
        }
        return unused.first.map {
            "holds '\($0.entry.name)' (\($0.entry.shape)), which the network does not have"
        }
    }

    /// One line for an import that failed: the worst problem, and where the others are listed.
    func problem(_ path: String, model: String = "NAME") -> String {
        let worst = worstProblem ?? "fits"
        let verb = differing.isEmpty ? " " : ": "
        return "\(path)\(verb)\(worst) (\(summary)); is it a checkpoint of another network? "
            + "`apus convert \(path) --report --model \(model)` lists everything"
    }

    /// "102 of 122 tensors match, 12 differ in shape, 8 are missing, 3 are not used"
    public var summary: String {
        let total = matched.count + differing.count + missing.count
        return "\(matched.count) of \(total) tensors match, \(differing.count) differ in shape, "
            + "\(missing.count) are missing, \(unusedCount) of the file are not used"
    }
}

/// The names among which the nearest is looked for.
private struct Candidates {
    private let all: [ParityReport.Entry]
    private let byShape: [Shape: [ParityReport.Entry]]
    /// Of so many names the edit distance is computed, at most, and of so many bytes of each.
    private static let maximumCount = 400
    private static let maximumBytes = 120

    init(_ entries: [ParityReport.Entry]) {
        all = entries
        byShape = Dictionary(grouping: entries, by: \.shape)
    }

    func nearest(to entry: ParityReport.Entry) -> [ParityReport.Entry] {
        let fitting = byShape[entry.shape] ?? all
        let wanted = String(entry.name.prefix(Self.maximumBytes))
        return
            fitting.prefix(Self.maximumCount)
            .map { ($0, Models.editDistance(wanted, String($0.name.prefix(Self.maximumBytes)))) }
            .sorted { $0.1 < $1.1 }
            .prefix(3).map(\.0)
    }
}
