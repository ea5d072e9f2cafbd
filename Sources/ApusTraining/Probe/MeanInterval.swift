/// The mean of a few measurements and how far off it may be.
public struct MeanInterval: Hashable, Codable, Sendable {
    public var values: [Double]
    public var mean: Double
    /// Half the width of the 95 % interval of the mean by Student's t distribution; nil for a single
    /// value, which says nothing about the next.
    public var uncertainty: Double?

    public init(_ values: [Double]) {
        let mean = values.reduce(0, +) / Double(max(1, values.count))
        self.values = values
        self.mean = mean
        guard values.count > 1 else { return }
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let freedom = values.count - 1
        let error = (squares / Double(freedom) / Double(values.count)).squareRoot()
        uncertainty = StudentT.quantile(0.975, freedom: freedom) * error
    }
}
