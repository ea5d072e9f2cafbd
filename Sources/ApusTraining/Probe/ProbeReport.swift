import ApusFiles
import Foundation

/// How an encoder was judged. A measurement after training its weights is never called linear.
public enum ProbeMethod: String, Hashable, Codable, Sendable, CaseIterable {
    /// A linear classifier on frozen features.
    case linear
    /// Votes of the nearest neighbors among frozen features.
    case neighbors = "knn"
    /// All weights trained further.
    case fineTuned = "fine-tuned"
    /// All weights trained from scratch: the encoder takes no part but by its architecture.
    case supervised
}

/// What is measured: one number of a probe.
public struct ProbePart: Hashable, Codable, Sendable {
    public var method: ProbeMethod
    /// Whether it is of the encoder before training.
    public var isRandom: Bool
    /// Percentage of the training labels that were seen.
    public var percent: Double
    /// Nil where nothing depends on chance.
    public var seed: UInt64?

    /// The same measurement with any seed.
    var withoutSeed: ProbePart {
        ProbePart(method, isRandom: isRandom, percent: percent, seed: nil)
    }

    init(_ method: ProbeMethod, isRandom: Bool, percent: Double = 100, seed: UInt64?) {
        self.method = method
        self.isRandom = isRandom
        self.percent = percent
        self.seed = seed
    }
}

/// One number of a probe, and how it came to be.
public struct ProbeResult: Hashable, Codable, Sendable {
    public var part: ProbePart
    /// The share of the test images that were recognized.
    public var accuracy: Double
    /// Test images, each counted once.
    public var testImages: Int
    /// Training images whose labels were seen, in all and by class.
    public var labels: Int
    public var labelsByClass: [Int]
    /// What was chosen on held-out training images, and how the choice did there.
    public var penalty: Double?
    public var learningRate: Float?
    public var heldOutAccuracy: Double?
    /// Steps of training.
    public var steps: Int?
}

/// A learning rate that was tried on held-out training images.
public struct RateTrial: Hashable, Codable, Sendable {
    public var part: ProbePart
    public var learningRate: Float
    public var heldOutAccuracy: Double
}

/// All measurements of a probe: what its `results.json` holds.
public struct ProbeReport: Hashable, Codable, Sendable {
    public var encoder: String
    /// The hash of the encoder's weights and batch-norm statistics, the same before and after.
    public var fingerprint: String
    public var settings: ProbeSettings
    public var results: [ProbeResult] = []
    public var trials: [RateTrial] = []
    /// Filled in when the report is written.
    public var summary: [Summary] = []

    /// One line of the table: the seeds of one measurement together.
    public struct Summary: Hashable, Codable, Sendable {
        public var method: ProbeMethod
        public var isRandom: Bool
        public var percent: Double
        public var labels: Int
        public var accuracy: MeanInterval
        /// Half the width of the 95 % interval that the number of test images allows, by the normal
        /// approximation: what other test images of the same kind might change.
        public var testUncertainty: Double
        /// How much better it is than what it is compared with, seed by seed: frozen features than
        /// those of the random encoder, fine-tuning than training from scratch.
        public var gain: MeanInterval?
    }

    public init(encoder: FeatureEncoder, settings: ProbeSettings) {
        self.encoder = encoder.network.name
        fingerprint = encoder.parameters.fingerprint
        self.settings = settings
    }

    func has(_ part: ProbePart) -> Bool { results.contains { $0.part == part } }

    /// The lines of the table, in a fixed order.
    public var summaries: [Summary] {
        var groups: [ProbePart] = []
        for result in results where !groups.contains(result.part.withoutSeed) {
            groups.append(result.part.withoutSeed)
        }
        let order = ProbeMethod.allCases
        groups.sort { a, b in
            let (first, second) = (order.firstIndex(of: a.method), order.firstIndex(of: b.method))
            return (first ?? 0, a.percent, a.isRandom ? 1 : 0)
                < (second ?? 0, b.percent, b.isRandom ? 1 : 0)
        }
        return groups.map { group in
            let own = members(group)
            let accuracy = MeanInterval(own.map(\.accuracy))
            let p = accuracy.mean
            let images = Double(max(1, own.first?.testImages ?? 1))
            return Summary(
                method: group.method, isRandom: group.isRandom, percent: group.percent,
                labels: own.first?.labels ?? 0, accuracy: accuracy,
                testUncertainty: 1.96 * (max(0, p * (1 - p)) / images).squareRoot(),
                gain: gain(group, own))
        }
    }

    /// The results of a measurement, by seed.
    private func members(_ group: ProbePart) -> [ProbeResult] {
        results.filter { $0.part.withoutSeed == group }
            .sorted { ($0.part.seed ?? 0) < ($1.part.seed ?? 0) }
    }

    private func gain(_ group: ProbePart, _ own: [ProbeResult]) -> MeanInterval? {
        guard !group.isRandom else { return nil }
        var other = group
        other.isRandom = true
        if group.method == .fineTuned { other.method = .supervised }
        let baseline = members(other)
        // A measurement without a seed is compared with every one that has one.
        let differences = baseline.compactMap { reference in
            own.first { $0.part.seed == nil || $0.part.seed == reference.part.seed }
                .map { $0.accuracy - reference.accuracy }
        }
        return differences.isEmpty ? nil : MeanInterval(differences)
    }

    /// Where the report of a probe's folder lies.
    static func path(in folder: String) -> String { folder + "/results.json" }

    mutating func write(in folder: String) throws {
        summary = summaries
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(self)
        try AtomicFile.write(to: Self.path(in: folder)) { try $0.write(data) }
    }

    /// The report in `folder`, or this one where there is none yet.
    ///
    /// Throws a `TrainingError` for a report of another encoder or other settings.
    func continued(in folder: String) throws -> ProbeReport {
        let path = Self.path(in: folder)
        guard FileManager.default.fileExists(atPath: path) else { return self }
        var saved: ProbeReport
        do {
            saved = try JSONDecoder().decode(
                ProbeReport.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw TrainingError("\(path) is not a report of `apus probe`; choose another --out")
        }
        guard saved.fingerprint == fingerprint else {
            throw TrainingError(
                "\(path) is of another encoder or of an earlier state of this one (\(saved.encoder), "
                    + "\(saved.fingerprint)); choose another --out")
        }
        let differences = saved.settings.differences(settings)
        guard differences.isEmpty else {
            throw TrainingError(
                "\(path) is of a probe with another \(differences.joined(separator: ", ")); repeat "
                    + "its flags to continue it, or choose another --out")
        }
        saved.settings = settings
        return saved
    }
}
