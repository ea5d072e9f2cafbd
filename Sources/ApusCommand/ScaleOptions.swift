import Apus
import ArgumentParser

/// The option `--phi`: one number, several with commas, or a range in steps of 1.
struct PhiList {
    let values: [Double]

    init(_ text: String) throws {
        guard let values = PhiList.parse(text) else {
            throw ValidationError(
                "give numbers in -12...12 as 2, 0,1,2.5 or 0...3, not '\(text)'")
        }
        self.values = values
    }

    private static func parse(_ argument: String) -> [Double]? {
        func numbers(_ parts: [Substring]) -> [Double]? {
            let values = parts.compactMap { Double($0) }
            let isGood = values.count == parts.count && values.allSatisfy { abs($0) <= 12 }
            return isGood ? values : nil
        }
        let ends = argument.split(separator: "...", omittingEmptySubsequences: false)
        if ends.count == 2 {
            guard let ends = numbers(ends), ends[0] <= ends[1] else { return nil }
            return Array(stride(from: ends[0], through: ends[1], by: 1))
        }
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        return numbers(parts)
    }
}

/// The option `--within`: a number with the unit that says what is limited.
struct ScaleLimit {
    let cost: NetworkCost
    /// In the cost's own unit.
    let limit: Double
    let text: String

    /// Units by their ending; a longer one goes before its own ending.
    private static let units: [(ending: String, cost: NetworkCost, factor: Double)] = [
        ("-macs", .multiplyAdds, 1), ("-parameters", .parameters, 1),
        ("GiB", .stepBytes, 1_073_741_824), ("MiB", .stepBytes, 1_048_576),
        ("ms-step", .stepTime, 1), ("ms", .inferenceTime, 1),
    ]

    init(_ text: String) throws {
        self.text = text
        guard let (cost, limit) = ScaleLimit.parse(text) else {
            throw ValidationError(
                "give 400M-macs, 5M-parameters, 500MiB, 20ms or 900ms-step, not '\(text)'")
        }
        self.cost = cost
        self.limit = limit
    }

    private static func parse(_ text: String) -> (cost: NetworkCost, limit: Double)? {
        guard let unit = units.first(where: { text.hasSuffix($0.ending) }) else { return nil }
        var number = text.dropLast(unit.ending.count)
        var factor = unit.factor
        if unit.ending.hasPrefix("-"), let prefix = number.last,
            let thousands = ["k": 1e3, "M": 1e6, "G": 1e9][prefix]
        {
            factor = thousands
            number = number.dropLast()
        }
        guard let value = Double(number), value > 0, value.isFinite else { return nil }
        return (unit.cost, value * factor)
    }
}

enum ScaleDimension: String, ExpressibleByArgument, CaseIterable {
    case compound, depth, width, resolution
}

enum SearchName: String, ExpressibleByArgument, CaseIterable {
    case proxy
    case stepTime = "step-time"
    case inferenceTime = "inference-time"
}

extension NetworkCost: ExpressibleByArgument {}
