import ApusFiles
import Foundation

/// The folder of a run: the contract between training and everything that looks at it.
///
///     recipe.json      what was asked for
///     metrics.jsonl    one object a line
///     checkpoints/     last.safetensors, from which the run continues
///     events.*         the same numbers, pictures and the spread of weights, for TensorBoard
public struct RunFolder: Hashable, Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    public var recipePath: String { path + "/recipe.json" }
    public var metricsPath: String { path + "/metrics.jsonl" }
    public var checkpointPath: String { path + "/checkpoints/last.safetensors" }

    public var hasCheckpoint: Bool { FileManager.default.fileExists(atPath: checkpointPath) }

    /// Makes the folders; throws a `TrainingError` that says why they cannot be.
    func create() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path + "/checkpoints", withIntermediateDirectories: true)
        } catch {
            throw TrainingError(
                "cannot make the run folder \(path): \(error.localizedDescription); "
                    + "choose another with --out")
        }
    }

    func write(_ recipe: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(recipe)
        try AtomicFile.write(to: recipePath) { try $0.write(data) }
    }
}

/// One line of `metrics.jsonl`.
public struct Metrics: Hashable, Codable, Sendable {
    public enum Phase: String, Hashable, Codable, Sendable { case train, evaluate }

    public var phase: Phase
    /// Steps taken when the line was written.
    public var step: Int
    /// Epochs taken, with a fraction.
    public var epoch: Double
    public var loss: Double
    /// Of the training batches since the last line, or of the test set; in 0...1.
    public var accuracy: Double
    public var learningRate: Double?
    public var imagesPerSecond: Double?
    /// Of a pretraining run: how the embeddings of the last batch lie; `accuracy` is then the share
    /// of views whose other view is nearer than everything else.
    public var embeddings: EmbeddingStatistics?
    /// What probes of the frozen encoder reached, on labelled images they were not fitted to, by kind
    /// (`knn`, `linear`); in 0...1.
    public var probes: [String: Double]?
    /// The norm of all gradients together in the last step.
    public var gradientNorm: Double?
}

/// Appends to `metrics.jsonl` and to the event file beside it.
final class MetricsLog {
    private let path: String
    let events: EventFile
    /// The last evaluation; nil if there was none.
    private(set) var lastEvaluation: Metrics?

    /// Keeps the lines up to `step` of an earlier session of the run; a resumed run writes the later
    /// ones again.
    init(_ folder: RunFolder, upTo step: Int) throws {
        path = folder.metricsPath
        events = try EventFile(folder.eventsPath, upTo: step)
        let lines = (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n")
        var kept: [Substring] = []
        for line in lines ?? [] {
            let metrics = try? JSONDecoder().decode(Metrics.self, from: Data(line.utf8))
            guard let metrics, metrics.step <= step else { continue }
            if metrics.phase == .evaluate { lastEvaluation = metrics }
            kept.append(line)
        }
        try AtomicFile.write(to: path) { try $0.write(kept.map { $0 + "\n" }.joined()) }
    }

    func append(_ metrics: Metrics) throws {
        if metrics.phase == .evaluate { lastEvaluation = metrics }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let line = try encoder.encode(metrics) + Data("\n".utf8)
        do {
            guard let handle = FileHandle(forWritingAtPath: path) else {
                throw TrainingError("cannot write to \(path); was the run folder removed?")
            }
            defer { try? handle.close() }
            try handle.seekToEnd()
            try handle.write(contentsOf: line)
        } catch let error as TrainingError {
            throw error
        } catch {
            throw TrainingError("cannot write to \(path): \(error.localizedDescription)")
        }
        try events.append(metrics)
    }
}
