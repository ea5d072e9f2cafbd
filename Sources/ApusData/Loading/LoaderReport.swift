/// How fast a loader makes batches, and what holds it back.
public struct LoaderReport: Hashable, Sendable {
    /// Samples made so far, each with all its views.
    public let samples: Int
    public let workers: Int
    /// Seconds that `next()` has waited.
    public let waitSeconds: Double
    /// Seconds the workers were busy, by what with; zero if it was not measured.
    public let stages: StageTimes

    public init(samples: Int, workers: Int, waitSeconds: Double, stages: StageTimes) {
        self.samples = samples
        self.workers = workers
        self.waitSeconds = waitSeconds
        self.stages = stages
    }

    /// Samples a second that the workers would make if they never waited for room; nil if it was not
    /// measured. They share the machine with the engine, so an idle machine makes more.
    public var samplesPerSecond: Double? {
        stages.total > 0 ? Double(samples * workers) / stages.total : nil
    }

    /// "loader 410 images/s, engine needs 900, held back by decode", or nil if the engine waited for
    /// less than a twentieth of `seconds`, in which it took `images` samples.
    public func explanation(images: Int, seconds: Double) -> String? {
        guard let rate = samplesPerSecond, let stage = stages.longest, seconds > 0,
            waitSeconds > seconds / 20
        else { return nil }
        let needed = Double(images) / max(seconds - waitSeconds, 1e-6)
        return "loader \(Int(rate.rounded())) images/s, engine needs \(Int(needed.rounded())), "
            + "held back by \(stage.rawValue)"
    }
}
