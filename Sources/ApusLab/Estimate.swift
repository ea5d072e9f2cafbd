import ApusTraining

/// A quantity measured once a seed, or known exactly.
public struct Estimate: Hashable, Codable, Sendable {
    /// One value a seed.
    public let values: [Double]
    /// Whether the value does not depend on chance, so that one measurement says everything.
    public let isExact: Bool

    /// The smallest difference that could be seen, such as one image of those tested: the interval
    /// reaches at least as far, however well the seeds agree.
    public let resolution: Double

    public init(_ values: [Double], resolution: Double = 0) {
        self.init(values: values, isExact: false, resolution: resolution)
    }

    /// A quantity that would be the same for every seed: a count, a property of a layer.
    public static func exact(_ value: Double) -> Estimate {
        Estimate(values: [value], isExact: true, resolution: 0)
    }

    private init(values: [Double], isExact: Bool, resolution: Double) {
        self.values = values
        self.isExact = isExact
        self.resolution = resolution
    }

    /// NaN without values.
    public var mean: Double { values.reduce(0, +) / Double(values.count) }

    /// The sample's standard deviation; nil for less than two values.
    public var deviation: Double? {
        guard values.count > 1 else { return nil }
        let mean = mean
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (squares / Double(values.count - 1)).squareRoot()
    }

    /// The 95 % interval of the mean by Student's t distribution: endless for one seed, which says
    /// nothing of the next, and for values that are not finite.
    public var interval: ClosedRange<Double> {
        guard !values.isEmpty, mean.isFinite else { return -.infinity ... .infinity }
        if isExact { return mean...mean }
        guard let deviation else { return -.infinity ... .infinity }
        let scatter =
            StudentT.quantile(0.975, freedom: values.count - 1) * deviation
            / Double(values.count).squareRoot()
        let half = max(scatter, resolution)
        return mean - half...mean + half
    }

    /// Value by value: of two quantities measured with the same seeds.
    public static func - (a: Estimate, b: Estimate) -> Estimate {
        a.combined(b, resolution: a.resolution + b.resolution, -)
    }

    public static func / (a: Estimate, b: Estimate) -> Estimate {
        a.combined(b, resolution: a.resolution / max(abs(b.mean), 1e-300), /)
    }

    private func combined(
        _ other: Estimate, resolution: Double, _ operation: (Double, Double) -> Double
    ) -> Estimate {
        let count = isExact ? other.values.count : other.isExact ? self.values.count : nil
        let values = (0..<(count ?? min(self.values.count, other.values.count))).map {
            operation(
                isExact ? mean : self.values[$0], other.isExact ? other.mean : other.values[$0])
        }
        return Estimate(
            values: values, isExact: isExact && other.isExact, resolution: resolution)
    }
}
