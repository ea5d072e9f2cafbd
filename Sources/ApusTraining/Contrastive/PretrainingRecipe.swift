import ApusCompiler
import ApusData
import ApusFiles
import ApusGraph
import Foundation

/// Everything that decides the outcome of a pretraining run: two runs of one recipe on the same
/// machine and threads end with the same bytes.
public struct PretrainingRecipe: Hashable, Codable, Sendable, RunRecipe {
    public enum Method: String, Hashable, Codable, Sendable, CaseIterable {
        /// Views of one image attract, all others repel each other (Chen et al. 2020).
        case simclr
        /// A view predicts what a slowly following copy makes of the other (Grill et al. 2020).
        case byol
    }

    static let checkpointKey = "apus.pretraining"

    public var method = Method.simclr
    /// The network without its classifier, under the model's name.
    public var encoder: Network
    public var head: Network
    /// From one projection to the other, for `byol`.
    public var predictor: Network?
    public var data: String
    public var classNames: [String]
    /// Of images in use; views are cut from what its resizing gives.
    public var preprocessing: Preprocessing
    /// Two, one a view.
    public var views: [Augmentation]

    /// Of `simclr`.
    public var loss = ContrastiveLoss.ntXent(temperature: 0.5)
    /// Whether projections are divided by their lengths.
    public var normalizes = true
    /// Where the share begins that BYOL's target keeps each step; it rises to 1.
    public var targetMomentum = 0.996

    public var epochs = 100
    /// Images in a step, each with two views.
    public var batch = 256
    /// Images in memory at once; batch norm sees so many, both views together.
    public var chunk = 256
    public var optimizer = OptimizerRecipe.defaultSGD
    public var learningRate: Float = 0.12
    public var warmupEpochs: Double = 10
    public var weightDecay: Float = 5e-4
    /// The first so many images of the data; nil for all.
    public var limit: Int?
    public var online: OnlineProbe.Recipe?
    public var seed: UInt64 = 0
    /// Threads of the engine: results are the same bytes only for the same number.
    public var threads: Int
    public var precision = Precision.fp32

    /// A recipe for `model`, whose classifier goes, with the method's usual heads: two layers of
    /// `width`, and for BYOL a predictor alike.
    public init(
        _ method: Method, model: Network, head: ProjectionHead, width: Int = 512, data: String,
        classNames: [String], preprocessing: Preprocessing, views: [Augmentation], threads: Int
    ) throws {
        self.method = method
        encoder = try model.encoder()
        encoder.name = model.name
        let features = try encoder.features
        self.head = head.network(features: features)
        if method == .byol {
            let dimension = try self.head.features
            predictor = ProjectionHead.mlp(layers: 2, width: width, dimension: dimension)
                .network(features: dimension, name: "predictor")
        }
        self.data = data
        self.classNames = classNames
        self.preprocessing = preprocessing
        self.views = views
        self.threads = threads
    }

    /// The recipe of the run in a folder.
    public init(of folder: RunFolder) throws {
        self = try Checkpoint.decode(
            Safetensors.read(folder.checkpointPath), folder.checkpointPath)
    }

    /// Throws a `TrainingError` that names the first setting that makes no sense.
    public func validate() throws {
        func require(_ holds: Bool, _ problem: String) throws {
            if !holds { throw TrainingError(problem) }
        }
        try require(epochs >= 1, "--epochs must be at least 1, not \(epochs)")
        try require(batch >= 2, "--batch must be at least 2, not \(batch)")
        try require(
            chunk >= 2 && batch % chunk == 0,
            "--chunk must divide the batch of \(batch) into parts of at least 2 images, not \(chunk)"
        )
        try require(threads >= 1, "--threads must be at least 1, not \(threads)")
        try require(
            learningRate > 0 && learningRate.isFinite,
            "--lr must be a positive number, not \(learningRate)")
        try require(
            warmupEpochs >= 0 && warmupEpochs <= Double(epochs),
            "--warmup must be 0 to the \(epochs) epochs, not \(warmupEpochs)")
        try require(
            weightDecay >= 0 && weightDecay.isFinite, "--weight-decay must not be negative")
        try require(views.count == 2, "pretraining needs two views, not \(views.count)")
        try require(
            (0..<1).contains(targetMomentum), "the target's momentum must be in 0..<1, as 0.996")
        try require(
            (method == .byol) == (predictor != nil), "BYOL, and nothing else, has a predictor")
        try require(
            !loss.isSupervised || classNames.count > 1,
            "--loss supervised needs labels, and \(data) has none")
        try loss.validate()
        try preprocessing.validate()
        for view in views { try view.validate() }
        _ = try PretrainingGraph(self).online(images: 2)
    }

    /// The rate at a step of the run: half a cosine after a linear rise.
    func rate(step: Int, stepsPerEpoch: Int) -> Float {
        Schedule.cosine.rate(
            base: learningRate, step: step, steps: stepsPerEpoch * epochs,
            warmup: Int(warmupEpochs * Double(stepsPerEpoch)))
    }

    /// The share BYOL's target keeps at a step: 1 - (1 - start) * (cos(pi k / K) + 1) / 2.
    package func targetShare(step: Int, steps: Int) -> Float {
        let fall = (cos(.pi * Double(step) / Double(max(steps, 1))) + 1) / 2
        return Float(1 - (1 - targetMomentum) * fall)
    }

    func differences(_ other: PretrainingRecipe) -> [String] {
        func fields(_ recipe: PretrainingRecipe) -> [String: NSObject] {
            let data = try? JSONEncoder().encode(recipe)
            let object = data.flatMap { try? JSONSerialization.jsonObject(with: $0) }
            return object as? [String: NSObject] ?? [:]
        }
        let (own, theirs) = (fields(self), fields(other))
        let names = Set(own.keys).union(theirs.keys).filter { own[$0] != theirs[$0] }
        // targetMomentum reads as target momentum.
        return names.sorted().map { name in
            name.map { $0.isUppercase ? " \($0.lowercased())" : "\($0)" }.joined()
        }
    }
}

/// How the learning rate grows with the batch.
public enum RateRule: String, Hashable, Codable, Sendable, CaseIterable {
    /// 0.3 * batch / 256 for LARS
    case linear
    /// 0.075 * sqrt(batch) for LARS, which small batches and few epochs prefer
    case sqrt

    /// The largest rate for a batch. Without LARS's scaling SGD wants 0.4 times as much, and AdamW a
    /// rate that grows from 0.001 at 256 images.
    public func rate(batch: Int, optimizer: OptimizerRecipe) -> Float {
        let relative = Float(batch) / 256
        let (linear, root): (Float, Float) =
            switch optimizer {
            case .lars: (0.3, 1.2)
            case .sgd: (0.12, 0.48)
            case .adamW: (1e-3, 1e-3)
            }
        return self == .linear ? linear * relative : root * relative.squareRoot()
    }
}

extension Network {
    /// Features of an image; throws a `GraphError` if it ends in something else.
    public var features: Int {
        get throws {
            let graph = try graph(batch: 1, mode: .inference)
            guard let output = graph.outputs["logits"], graph.shape(output).rank == 2 else {
                throw GraphError(
                    path: name, problem: "does not end in [batch, features]", shapes: [])
            }
            return graph.shape(output)[1]
        }
    }
}
