import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation

/// What a run folder holds, for looking at.
public struct RunSummary {
    /// An image that was taken for another class.
    public struct Mistake {
        public var image: Image
        public var label: String
        public var prediction: String
        /// The probability the network gave to what it took the image for.
        public var confidence: Double
    }

    /// How it was trained: with labels, or without.
    public enum Kind {
        case training(Recipe)
        case pretraining(PretrainingRecipe)
    }

    public let path: String
    public let kind: Kind
    public let metrics: [Metrics]
    /// The results on the test images; nil until `evaluate` was called, and of pretraining runs.
    public private(set) var evaluation: Evaluation?
    /// The mistakes the network was most certain of.
    public private(set) var mistakes: [Mistake] = []
    /// Why there is no evaluation, if someone asked for one.
    public private(set) var problem: String?

    /// Reads the recipe and the metrics. Throws a `TrainingError` that names the file and the line.
    public init(_ path: String) throws {
        self.path = path
        let folder = RunFolder(path)
        func bytes(_ file: String) throws -> Data {
            guard let data = FileManager.default.contents(atPath: file) else {
                throw TrainingError(
                    "\(file) cannot be read; give a folder that `apus train` or `apus pretrain` made"
                )
            }
            return data
        }
        kind = try RunSummary.kind(bytes(folder.recipePath), folder.recipePath)
        let text = String(decoding: try bytes(folder.metricsPath), as: UTF8.self)
        // A run that is going on may be in the middle of its last line.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        metrics = try lines.enumerated().map { index, line in
            do {
                return try JSONDecoder().decode(Metrics.self, from: Data(line.utf8))
            } catch {
                throw TrainingError(
                    "line \(index + 1) of \(folder.metricsPath) is damaged; remove the line")
            }
        }
    }

    private static func kind(_ recipe: Data, _ path: String) throws -> Kind {
        let decoder = JSONDecoder()
        if let recipe = try? decoder.decode(PretrainingRecipe.self, from: recipe) {
            return .pretraining(recipe)
        }
        do {
            return .training(try decoder.decode(Recipe.self, from: recipe))
        } catch {
            throw TrainingError(
                "\(path) is no recipe of `apus train` or `apus pretrain`; give another run folder")
        }
    }

    /// The network that was trained; of a pretraining run the encoder.
    public var network: Network {
        switch kind {
        case .training(let recipe): recipe.network
        case .pretraining(let recipe): recipe.encoder
        }
    }

    /// The run's own name.
    public var name: String {
        URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent
    }

    /// Tests the last weights on the run's test images and keeps the worst mistakes. What stands in the
    /// way is kept in `problem`: the curves can be shown all the same.
    public mutating func evaluate(
        worst: Int = 24, configuration: Session.Configuration = .init(),
        progress: (Double) -> Void = { _ in }
    ) {
        guard case .training(let recipe) = kind else { return }
        do {
            guard let source = try DataSets.openTest(recipe.data) else {
                problem = "\(recipe.data) has no test split"
                return
            }
            let model = try TrainedModel(path)
            let evaluator = try Evaluator(
                model.network, parameters: model.parameters, batch: min(128, source.count),
                configuration: configuration)
            evaluation = try evaluator.evaluate(source, model.preprocessing, workers: 2) {
                progress(0.5 * Double($0) / Double(source.count))
            }
            mistakes = try worstMistakes(evaluator, source, recipe.preprocessing, worst) {
                progress(0.5 + 0.5 * $0)
            }
        } catch {
            problem = "\(error)".split(separator: "\n").first.map(String.init) ?? "unknown error"
        }
    }

    private func worstMistakes(
        _ evaluator: Evaluator, _ source: any ImageSource, _ preprocessing: Preprocessing,
        _ count: Int, _ progress: (Double) -> Void
    ) throws -> [Mistake] {
        let loader = try Loader(
            source: source, preprocessing: preprocessing,
            options: .evaluation(batchSize: evaluator.batch))
        defer { loader.stop() }
        var worst: [(sample: Int, prediction: Int, confidence: Double)] = []
        while let batch = try loader.next() {
            let logits = evaluator.logits(batch.images)
            for (row, label) in batch.labels.enumerated() {
                let scores = logits.elements[
                    row * evaluator.classes..<(row + 1) * evaluator.classes]
                guard let best = scores.indices.max(by: { scores[$0] < scores[$1] }),
                    best - scores.startIndex != Int(label)
                else { continue }
                let sum = scores.reduce(0.0) { $0 + exp(Double($1 - scores[best])) }
                worst.append((batch.samples[row], best - scores.startIndex, 1 / sum))
            }
            worst = Array(worst.sorted { $0.confidence > $1.confidence }.prefix(count))
            progress(Double((batch.samples.last ?? 0) + 1) / Double(source.count))
        }
        return try worst.map {
            Mistake(
                image: try source.image(at: $0.sample),
                label: source.classNames[source.label(at: $0.sample)],
                prediction: source.classNames[$0.prediction], confidence: $0.confidence)
        }
    }
}
