import ApusReport
import ApusTraining

/// An encoder to pretrain and how; how long is planned from the budget.
public struct PretrainingJob: Hashable, Codable, Sendable {
    /// What figures call it.
    public var label: String
    /// All but its seed and its epochs counts.
    public var recipe: PretrainingRecipe
    /// Images seen as a multiple of those of other jobs; with 0 the encoder stays as it was drawn.
    public var length = 1.0
    /// Whether what is behind the head is probed, too.
    public var probesProjection = false

    public init(_ label: String, _ recipe: PretrainingRecipe) {
        self.label = label
        self.recipe = recipe
    }

    /// The encoder before any training, which says what training adds.
    package static func untrained(_ recipe: PretrainingRecipe) -> PretrainingJob {
        var job = PretrainingJob("untrained", recipe)
        job.length = 0
        return job
    }
}

/// How long the jobs of a set pretrain and how they are probed.
public struct PretrainingPlan: Hashable, Codable, Sendable {
    /// Images every job of length 1 sees, each in two views.
    public var images: Int
    /// How often loss and contrastive accuracy are noted, evenly spaced.
    public var points: Int
    /// Training images a probe is fitted to, and other images it is measured on: those for tests first,
    /// then training images that it was not fitted to.
    public var probeImages: Int
    public var testImages: Int
    /// What was measured: seconds an image by label.
    public var secondsPerImage: [String: Double]
    /// The algorithm of every convolution, by problem: all runs round alike.
    public var choices: [String: String] = [:]

    package func steps(_ job: PretrainingJob) -> Int {
        job.length == 0 ? 0 : max(2, Int(Double(images) * job.length) / job.recipe.batch)
    }
}

/// What came out of one job and seed.
public struct PretrainingResult: Hashable, Codable, Sendable {
    public struct Point: Hashable, Codable, Sendable {
        public var step: Int
        /// Means since the last point.
        public var loss: Double
        /// The share of views whose pair is nearer than every other view of the batch.
        public var accuracy: Double
    }

    public var points: [Point] = []
    /// Whether the loss stopped being a number; training ended there.
    public var hasDiverged = false
    /// Other images a linear classifier of h recognizes, a share; and of z, where that was asked. After
    /// a training that diverged: what guessing does.
    public var probe = 0.0
    public var projectionProbe: Double?
    /// What the experiment looked at itself, by name.
    public var extras: [String: [Double]] = [:]
}

/// A job's results, one a seed.
public struct PretrainedJob: Sendable {
    public let job: PretrainingJob
    public let results: [PretrainingResult]
    public let plan: PretrainingPlan

    /// Accuracy of the linear probe on h.
    public var probe: Estimate { accuracy { $0.probe } }
    /// Accuracy of the linear probe on z.
    public var projectionProbe: Estimate { accuracy { $0.projectionProbe ?? .nan } }
    /// Contrastive accuracy over the last part of training.
    public var contrastive: Estimate {
        Estimate(results.map { $0.points.last?.accuracy ?? .nan })
    }

    /// A share of the test images.
    func accuracy(_ value: (PretrainingResult) -> Double) -> Estimate {
        Estimate(results.map(value), resolution: 1 / Double(max(plan.testImages, 1)))
    }

    /// A curve over the images seen, in thousands.
    func series(
        color: Int, dash: Int = 0, _ value: (PretrainingResult.Point) -> Double
    ) -> LineChart.Series {
        let shared = results.map(\.points.count).min() ?? 0
        return LineChart.Series(
            job.label,
            (0..<shared).map { index in
                let points = results.map { $0.points[index] }
                return LineChart.Point(
                    Double(points[0].step * job.recipe.batch) / 1000, Estimate(points.map(value)))
            }, color: color, dash: dash)
    }
}

extension [PretrainedJob] {
    /// The job whose linear probe is the most accurate on average over the seeds; nil of none.
    var best: PretrainedJob? { self.max { $0.probe.mean < $1.probe.mean } }

    /// How accurate the probes are, side by side.
    func bars(_ title: String) -> Figure {
        .bars(
            BarChart(
                title, y: .percent("accuracy of the linear probe"), groups: map(\.job.label),
                series: [
                    BarChart.Series("h", map { BarChart.Bar($0.probe / .exact(0.01)) })
                ]))
    }

    /// Loss and contrastive accuracy while training goes on.
    func curves() -> Figure {
        let trained = filter { $0.job.length > 0 }
        func chart(
            _ title: String, _ axis: Axis, _ value: (PretrainingResult.Point) -> Double
        ) -> LineChart {
            LineChart(
                title, x: Axis("thousand images seen"), y: axis,
                series: trained.enumerated().map { index, job in
                    // The ninth has the color of the first, but other dashes.
                    job.series(color: index % 8, dash: (index + index / 8) % 8, value)
                })
        }
        return .multiples(
            title: "Pretraining (bands: 95 % intervals over the seeds)",
            charts: [
                chart("Loss", Axis("loss")) { $0.loss },
                chart("Contrastive accuracy", .percent("pairs recognized")) { 100 * $0.accuracy },
            ])
    }

    /// What to say of jobs whose loss stopped being a number.
    var divergences: [String] {
        filter { $0.results.contains(where: \.hasDiverged) }.map {
            "\($0.job.label): the loss stopped being a number, and training ended there."
        }
    }
}
