import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor

/// A quick look at what the encoder has learned so far: a probe of its frozen features on labelled
/// training images, fitted to four fifths of them and measured on the rest. The encoder's weights and
/// running statistics are only read.
public final class OnlineProbe {
    public enum Kind: String, Hashable, Codable, Sendable, CaseIterable { case knn, linear }

    public struct Recipe: Hashable, Codable, Sendable {
        public var kinds = [Kind.knn]
        /// Epochs between two looks.
        public var interval = 1
        /// Labelled images, drawn once.
        public var images = 5000
        public init() {}
    }

    private let recipe: Recipe
    private let encoder: Evaluator
    private let fitted: SubsetSource
    private let measured: SubsetSource
    private let preprocessing: Preprocessing
    private let threads: Int
    /// The algorithm of every convolution, by problem.
    var choices: [String: String] { encoder.choices }
    /// Bytes of activations and features.
    var bytes: Int {
        encoder.workspaceBytes + 2 * recipe.images * encoder.classes * MemoryLayout<Float>.stride
    }

    init(
        _ recipe: Recipe, encoder: Network, parameters: ParameterStore, source: any ImageSource,
        preprocessing: Preprocessing, seed: UInt64, configuration: Session.Configuration
    ) throws {
        self.recipe = recipe
        self.preprocessing = preprocessing
        threads = configuration.threads
        guard source.classNames.count > 1 else {
            throw TrainingError(
                "--online needs labels, and the data has none; leave it out, or probe the run later"
            )
        }
        let order = RandomKey(seed: seed).child("online").permutation(source.count)
        let drawn = order.prefix(recipe.images)
        let split = drawn.count * 4 / 5
        guard split >= 1, split < drawn.count else {
            throw TrainingError("--online needs at least 2 labelled images")
        }
        fitted = SubsetSource(source, indices: Array(drawn[..<split]))
        measured = SubsetSource(source, indices: Array(drawn[split...]))
        self.encoder = try Evaluator(
            encoder, parameters: parameters, batch: min(256, drawn.count),
            configuration: configuration)
    }

    /// The share of the measured images that are given their own class, by the name of the kind.
    func accuracies(_ brokenImages: BrokenImages) throws -> [String: Double] {
        let known = try features(fitted, brokenImages)
        let asked = try features(measured, brokenImages)
        var accuracies: [String: Double] = [:]
        for kind in recipe.kinds {
            accuracies[kind.rawValue] = try accuracy(kind, known, asked)
        }
        return accuracies
    }

    private func accuracy(
        _ kind: Kind, _ known: LabelledFeatures, _ asked: LabelledFeatures
    ) throws -> Double {
        switch kind {
        case .knn:
            var neighbors = WeightedNeighbors(known, threads: threads)
            neighbors.k = min(200, max(1, known.count / 10))
            return neighbors.accuracy(asked)
        case .linear:
            var probe = LinearProbe()
            probe.threads = threads
            probe.finalIterations = 200
            return try probe.fit(known, penalty: 1).accuracy(asked)
        }
    }

    private func features(
        _ source: SubsetSource, _ brokenImages: BrokenImages
    ) throws -> LabelledFeatures {
        var options = LoaderOptions.evaluation(
            batchSize: encoder.batch, workers: max(1, threads))
        options.brokenImages = brokenImages
        let loader = try Loader(
            source: source, preprocessing: preprocessing, options: options)
        defer { loader.stop() }
        var elements: [Float] = []
        var labels: [Int32] = []
        while let batch = try loader.next() {
            elements += encoder.logits(batch.images).elements
            labels += batch.labels
        }
        return try LabelledFeatures(
            Tensor([labels.count, encoder.classes], elements), labels: labels,
            classes: source.classNames.count)
    }
}
