import Foundation

/// What an axis shows. The label names the unit.
public struct Axis: Hashable, Codable, Sendable {
    public var label: String
    public var isLogarithmic: Bool
    /// Whether the axis begins at zero, as lengths of bars must.
    public var includesZero: Bool
    /// What values are possible at all: intervals are drawn no further.
    public var possible: ClosedRange<Double>?

    public init(_ label: String, isLogarithmic: Bool = false, includesZero: Bool = false) {
        self.label = label
        self.isLogarithmic = isLogarithmic
        self.includesZero = includesZero
    }

    /// An axis of shares in percent.
    public static func percent(_ label: String, includesZero: Bool = false) -> Axis {
        var axis = Axis("\(label), %", includesZero: includesZero)
        axis.possible = 0...100
        return axis
    }

    func clamped(_ value: Double?) -> Double? {
        guard let value, let possible else { return value }
        return min(max(value, possible.lowerBound), possible.upperBound)
    }
}

/// An axis over the values it has to show: where they lie, and the round numbers beside it.
struct AxisScale {
    let isLogarithmic: Bool
    let low: Double
    let high: Double
    let ticks: [Double]

    /// What cannot be shown is left out: numbers that are not finite, and none above zero on a
    /// logarithmic axis.
    static func isShown(_ value: Double, _ axis: Axis) -> Bool {
        value.isFinite && (!axis.isLogarithmic || value > 0)
    }

    /// The text beside a tick: powers of ten are short on a logarithmic axis.
    func text(_ tick: Double) -> String {
        guard isLogarithmic, tick >= 1e4 || tick < 0.01 else { return NumberText.short(tick) }
        let exponent = Int(log10(tick).rounded())
        return abs(tick / pow(10, Double(exponent)) - 1) < 1e-9
            ? "1e\(exponent)" : NumberText.short(tick)
    }

    /// The same axis ending at the values instead of at round numbers.
    func tight(_ values: [Double]) -> AxisScale {
        let shown = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
        guard let first = shown.min(), let last = shown.max(), last > first else { return self }
        let margin = (last - first) * 1e-9
        func within(_ ticks: [Double]) -> [Double] {
            ticks.filter { $0 >= first - margin && $0 <= last + margin }
        }
        var kept = within(ticks)
        // Few powers of ten lie between the ends of a short range.
        if isLogarithmic, kept.count < 3 {
            let powers = Int(floor(log10(first)))...Int(floor(log10(last)))
            kept = within(
                powers.flatMap { power in [1, 2, 5].map { $0 * pow(10, Double(power)) } })
        }
        return AxisScale(isLogarithmic: isLogarithmic, low: first, high: last, ticks: kept)
    }

    private init(isLogarithmic: Bool, low: Double, high: Double, ticks: [Double]) {
        self.isLogarithmic = isLogarithmic
        self.low = low
        self.high = high
        self.ticks = ticks
    }

    init(_ axis: Axis, _ values: [Double], ticks wanted: Int = 6) {
        isLogarithmic = axis.isLogarithmic
        let shown = values.filter { AxisScale.isShown($0, axis) }
        var low = shown.min() ?? (axis.isLogarithmic ? 1 : 0)
        var high = shown.max() ?? (axis.isLogarithmic ? 10 : 1)
        if axis.isLogarithmic {
            var ticks = AxisScale.powers(low, high, wanted)
            // A range within one power of ten has too few of them.
            if ticks.count < 3 { ticks = AxisScale.round(low, high, wanted).filter { $0 > 0 } }
            self.low = min(low, ticks.first ?? low)
            self.high = max(high, ticks.last ?? high)
            self.ticks = ticks
            return
        }
        if axis.includesZero {
            low = min(low, 0)
            high = max(high, 0)
        }
        ticks = AxisScale.round(low, high, wanted)
        self.low = min(low, ticks.first ?? low)
        self.high = max(high, ticks.last ?? high)
    }

    /// The place of a value between the ends, in 0...1.
    func place(_ value: Double) -> Double {
        if isLogarithmic {
            return high > low ? log(max(value, low) / low) / log(high / low) : 0.5
        }
        return high > low ? (value - low) / (high - low) : 0.5
    }

    /// Multiples of 1, 2 or 5 times a power of ten that span a range.
    private static func round(_ low: Double, _ high: Double, _ wanted: Int) -> [Double] {
        let span = high - low
        guard span > 1e-12 * max(abs(low), abs(high)), span > 0 else {
            let half = max(abs(low) / 2, 0.5)
            return [low - half, low, low + half]
        }
        let rough = span / Double(max(wanted - 1, 1))
        let power = pow(10, floor(log10(rough)))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? 10 * power
        let first = Int((low / step + 1e-9).rounded(.down))
        let last = Int((high / step - 1e-9).rounded(.up))
        return (first...max(first, last)).map { Double($0) * step }
    }

    /// Powers of ten that span a range, every second or third of them where there are many.
    private static func powers(_ low: Double, _ high: Double, _ wanted: Int) -> [Double] {
        let first = Int(floor(log10(low) + 1e-9))
        let last = Int(ceil(log10(high) - 1e-9))
        let step = max(1, (last - first + wanted - 1) / wanted)
        return Swift.stride(from: first, through: last + step - 1, by: step).map {
            pow(10, Double($0))
        }
    }
}

/// Numbers as figures and tables show them.
public enum NumberText {
    /// Up to `digits` significant digits, without zeros that say nothing; very large and very small
    /// numbers as powers of ten.
    public static func short(_ value: Double, digits: Int = 3) -> String {
        guard value.isFinite else { return value.isNaN ? "-" : value > 0 ? "∞" : "-∞" }
        if value == 0 { return "0" }
        let size = abs(value)
        if size >= 1e6 || size < 1e-4 {
            let text = String(format: "%.\(max(digits - 1, 0))e", value)
            let parts = text.split(separator: "e")
            guard parts.count == 2, let exponent = Int(parts[1]) else { return text }
            return "\(trimmed(String(parts[0])))e\(exponent)"
        }
        let whole = Int(floor(log10(size))) + 1
        return trimmed(String(format: "%.\(max(0, digits - whole))f", value))
    }

    private static func trimmed(_ text: String) -> String {
        guard text.contains(".") else { return text }
        var text = text
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text == "-0" ? "0" : text
    }
}
