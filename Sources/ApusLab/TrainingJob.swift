import ApusData
import ApusGraph
import ApusTraining

/// A network to train and how; how long is planned from the budget.
public struct TrainingJob: Hashable, Codable, Sendable {
    /// What figures call it.
    public var label: String
    public var network: Network
    public var batch = 64
    public var optimizer = OptimizerRecipe.defaultSGD
    public var learningRate: Float
    public var schedule = Schedule.cosine
    /// The share of the steps over which the learning rate first rises.
    public var warmup = 0.05
    public var weightDecay: Float = 1e-4
    public var augmentation: Augmentation?

    public init(_ label: String, _ network: Network, learningRate: Float = 0.1) {
        self.label = label
        self.network = network
        self.learningRate = learningRate
    }
}

/// How long every job of a set trains and how often it is looked at.
public struct TrainingPlan: Hashable, Codable, Sendable {
    /// Steps of every job.
    public var steps: Int
    /// How often training and test error are noted, evenly spaced.
    public var points: Int
    /// Test images at every point but the last, and at the last.
    public var testImages: Int
    public var lastTestImages: Int
    /// What was measured: seconds a step by label.
    public var secondsPerStep: [String: Double]
}

/// What came out of one job and seed.
public struct TrainingResult: Hashable, Codable, Sendable {
    public struct Point: Hashable, Codable, Sendable {
        public var step: Int
        /// Of the training batches since the last point; errors are shares in 0...1.
        public var trainLoss: Double
        public var trainError: Double
        public var testError: Double
    }

    public var points: [Point] = []
    /// Whether the loss stopped being a number; training ended there.
    public var hasDiverged = false
    /// What the experiment looked at itself, by name.
    public var extras: [String: [Double]] = [:]

    /// Errors at the end; training error is that of the batches since the last point but one.
    public var trainError: Double { points.last?.trainError ?? 1 }
    public var testError: Double { points.last?.testError ?? 1 }
    public var trainLoss: Double { points.last?.trainLoss ?? .infinity }
}

/// A job's results, one a seed.
public struct TrainedJob: Sendable {
    public let job: TrainingJob
    public let results: [TrainingResult]

    public let plan: TrainingPlan

    public var trainError: Estimate {
        let images = job.batch * plan.steps / max(plan.points, 1)
        return Estimate(results.map(\.trainError), resolution: 1 / Double(max(images, 1)))
    }
    public var testError: Estimate {
        Estimate(
            results.map(\.testError), resolution: 1 / Double(max(plan.lastTestImages, 1)))
    }

    /// One quantity of every seed.
    public func estimate(_ value: (TrainingResult) -> Double) -> Estimate {
        Estimate(results.map(value))
    }

    /// A curve over the images seen, in thousands, with the interval over the seeds.
    public func curve(
        _ value: (TrainingResult.Point) -> Double
    ) -> [(images: Double, estimate: Estimate)] {
        let shared = results.map(\.points.count).min() ?? 0
        return (0..<shared).map { index in
            let points = results.map { $0.points[index] }
            return (
                Double(points[0].step * job.batch) / 1000, Estimate(points.map(value))
            )
        }
    }
}
