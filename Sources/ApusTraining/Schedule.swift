import Foundation

/// How the learning rate moves over a run: a pure function of the step, so that a resumed run
/// continues where it was.
public enum Schedule: Hashable, Codable, Sendable {
    /// Always the base rate.
    case constant
    /// Multiplied by `factor` at each of these fractions of the run, in 0...1.
    case step(at: [Double], factor: Float)
    /// Half a cosine from the base rate to zero (Loshchilov and Hutter 2017).
    case cosine
    /// Up from base / 25 over `rise` of the run and down to base / 250,000, both as half cosines
    /// (Smith and Topin 2018, step for step as PyTorch's OneCycleLR with its defaults).
    case oneCycle(rise: Double)

    /// The rate of step `step` of `steps`, both counted from zero. Over the first `warmup` steps the
    /// rate also rises linearly from base / warmup.
    public func rate(base: Float, step: Int, steps: Int, warmup: Int = 0) -> Float {
        if step < warmup { return base * Float(step + 1) / Float(warmup) }
        let total = max(steps - warmup, 1)
        let progress = Double(step - warmup) / Double(total)
        switch self {
        case .constant:
            return base
        case .step(let fractions, let factor):
            return fractions.reduce(base) { progress >= $1 ? $0 * factor : $0 }
        case .cosine:
            return Float(Double(base) * (1 + cos(.pi * progress)) / 2)
        case .oneCycle(let rise):
            let low = Double(base) / 25
            let end = low / 10_000
            func between(_ from: Double, _ to: Double, _ t: Double) -> Float {
                Float(to + (from - to) * (1 + cos(.pi * min(max(t, 0), 1))) / 2)
            }
            // The peak is a step of its own, and the last step ends the fall.
            let position = Double(step - warmup)
            let peak = rise * Double(total) - 1
            return position <= peak
                ? between(low, Double(base), position / max(peak, 1e-9))
                : between(Double(base), end, (position - peak) / (Double(total - 1) - peak))
        }
    }
}
