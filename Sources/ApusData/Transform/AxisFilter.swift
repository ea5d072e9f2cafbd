/// The weights for resizing one axis: which input pixels make up every output pixel.
///
/// When shrinking, the filter is widened by the factor, so that every input pixel counts
/// (antialiasing); this is what PIL does and torchvision with `antialias=True`. The memory is kept
/// from one axis to the next.
final class AxisFilter {
    /// The first input pixel of every output pixel, counted from `first`.
    private(set) var starts: UnsafeMutablePointer<Int32>
    /// A row of `taps` weights for every output pixel; those past its last input are zero.
    private(set) var weights: UnsafeMutablePointer<Float>
    private(set) var taps = 0
    /// How many output pixels there are.
    private(set) var count = 0
    /// The input pixels that are looked at.
    private(set) var first = 0
    private(set) var end = 0

    private var capacity = 0
    private var weightCapacity = 0

    init() {
        starts = .allocate(capacity: 0)
        weights = .allocate(capacity: 0)
    }

    deinit {
        starts.deallocate()
        weights.deallocate()
    }

    /// Computes the weights of the outputs `range` of `outputs`, which together cover `length`
    /// input pixels from `offset` on, both of which may be fractions.
    ///
    /// - Parameters:
    ///   - bounds: the input pixels that may be looked at; covers all of `offset` and `length`.
    ///   - mirrors: puts the last output first.
    func prepare(
        offset: Double, length: Double, bounds: Range<Int>, outputs: Int, range: Range<Int>,
        mirrors: Bool, _ interpolation: Interpolation
    ) {
        let scale = length / Double(outputs)
        let stretch = max(scale, 1)
        let support = interpolation.support * stretch
        taps = min(bounds.count, max(1, Int((2 * support).rounded(.up))))
        count = range.count
        reserve()
        first = bounds.upperBound
        end = bounds.lowerBound
        for position in 0..<count {
            let output = mirrors ? range.upperBound - 1 - position : range.lowerBound + position
            let center = offset + scale * (Double(output) + 0.5)
            let low = max(Int(center - support + 0.5), bounds.lowerBound)
            // Where rounding makes it one pixel more, the weight of the last is zero.
            let high = min(Int(center + support + 0.5), bounds.upperBound, low + taps)
            // All rows of weights have one length, but must not reach past the last pixel.
            let start = min(low, bounds.upperBound - taps)
            first = min(first, start)
            end = max(end, start + taps)
            starts[position] = Int32(start)
            let row = weights + position * taps
            row.update(repeating: 0, count: taps)
            var total = 0.0
            for pixel in low..<max(high, low) {
                let weight = interpolation.weight((Double(pixel) - center + 0.5) / stretch)
                row[pixel - start] = Float(weight)
                total += weight
            }
            let factor = Float(1 / total)
            for tap in 0..<taps { row[tap] *= factor }
        }
        for position in 0..<count { starts[position] -= Int32(first) }
    }

    private func reserve() {
        if count > capacity {
            starts.deallocate()
            starts = .allocate(capacity: count)
            capacity = count
        }
        if count * taps > weightCapacity {
            weights.deallocate()
            weights = .allocate(capacity: count * taps)
            weightCapacity = count * taps
        }
    }
}
