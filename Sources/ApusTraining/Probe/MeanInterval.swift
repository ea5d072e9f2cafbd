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
        uncertainty = Self.quantile(freedom) * error
    }

    /// The 97.5 % quantile of Student's t distribution.
    static func quantile(_ freedom: Int) -> Double {
        if freedom <= table.count { return table[freedom - 1] }
        // Fisher and Cornish's expansion around the normal quantile; off by less than 1e-4 here.
        let z = 1.959964
        let n = Double(freedom)
        let cube = z * z * z
        return z + (cube + z) / (4 * n) + (5 * cube * z * z + 16 * cube + 3 * z) / (96 * n * n)
    }

    private static let table = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010,
        2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    ]
}
