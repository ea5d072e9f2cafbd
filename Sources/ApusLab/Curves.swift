import ApusReport

extension LineChart.Point {
    /// An estimate over x, with its interval where more than one seed tells of it.
    public init(_ x: Double, _ estimate: Estimate) {
        let interval = estimate.interval
        let isKnown = interval.lowerBound.isFinite && !estimate.isExact
        self.init(
            x, estimate.mean, low: isKnown ? interval.lowerBound : nil,
            high: isKnown ? interval.upperBound : nil)
    }
}

extension BarChart.Bar {
    /// An estimate with its interval where more than one seed tells of it.
    public init(_ estimate: Estimate) {
        let interval = estimate.interval
        let isKnown = interval.lowerBound.isFinite && !estimate.isExact
        self.init(
            estimate.mean, low: isKnown ? interval.lowerBound : nil,
            high: isKnown ? interval.upperBound : nil)
    }
}

extension TrainedJob {
    /// Errors in percent over thousands of images seen.
    func series(
        color: Int, dash: Int = 0, _ value: (TrainingResult.Point) -> Double
    ) -> LineChart.Series {
        LineChart.Series(
            job.label,
            curve { 100 * value($0) }.map { LineChart.Point($0.images, $0.estimate) },
            color: color, dash: dash)
    }

    /// "12.3 +- 0.4": percent and half the interval.
    static func percent(_ estimate: Estimate) -> String {
        let mean = NumberText.short(100 * estimate.mean)
        let half = 100 * (estimate.interval.upperBound - estimate.mean)
        return half.isFinite ? "\(mean) ± \(NumberText.short(half, digits: 2))" : mean
    }
}
