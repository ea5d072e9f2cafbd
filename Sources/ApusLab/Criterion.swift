import ApusReport

/// What must be measured for a claim to hold: written down before any run.
public struct Criterion: Hashable, Codable, Sendable {
    /// Where a quantity must lie.
    public enum Band: Hashable, Codable, Sendable {
        case above(Double)
        case below(Double)
        case between(Double, Double)

        var range: ClosedRange<Double> {
            switch self {
            case .above(let low): low...(.infinity)
            case .below(let high): (-.infinity)...high
            case .between(let low, let high): low...high
            }
        }

        var words: String {
            switch self {
            case .above(let low): "above \(NumberText.short(low))"
            case .below(let high): "below \(NumberText.short(high))"
            case .between(let low, let high):
                "between \(NumberText.short(low)) and \(NumberText.short(high))"
            }
        }
    }

    /// What findings call the quantity.
    public var key: String
    /// The quantity in words, with its unit.
    public var quantity: String
    public var band: Band
    /// Whether it only says that the run went far enough to judge: unless it holds, nothing is decided.
    public var isCondition: Bool

    public init(
        _ key: String, _ quantity: String, _ band: Band, isCondition: Bool = false
    ) {
        self.key = key
        self.quantity = quantity
        self.band = band
        self.isCondition = isCondition
    }

    /// Holds if the whole interval lies in the band, does not hold if none of it does.
    package func judge(_ estimate: Estimate?) -> Verdict {
        guard let interval = estimate?.interval else { return .undecided }
        let range = band.range
        if range.contains(interval.lowerBound) && range.contains(interval.upperBound) {
            return interval.lowerBound.isFinite ? .holds : .undecided
        }
        return interval.overlaps(range) ? .undecided : .fails
    }
}

/// What a run says about a claim.
public enum Verdict: String, Hashable, Codable, Sendable {
    case holds
    case fails
    case undecided

    public var words: String {
        switch self {
        case .holds: "holds"
        case .fails: "does not hold"
        case .undecided: "undecided at this budget"
        }
    }

    /// A claim holds if every criterion does, and does not if one does not; it stays undecided where a
    /// condition is not met.
    package static func all(_ criteria: [Criterion], _ verdicts: [Verdict]) -> Verdict {
        let pairs = zip(criteria, verdicts)
        if pairs.contains(where: { $0.isCondition && $1 != .holds }) { return .undecided }
        if verdicts.contains(.fails) { return .fails }
        return verdicts.isEmpty || verdicts.contains(.undecided) ? .undecided : .holds
    }
}
