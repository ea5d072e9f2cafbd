/// How a resized image is computed from its pixels.
public enum Interpolation: String, Hashable, Codable, Sendable {
    /// A triangle: linear between two pixels when enlarging.
    case bilinear
    /// The cubic of Keys with a = -0.5, as PIL and torchvision's antialiased resizing use.
    case bicubic
    /// The same with samples rounded to bytes after each axis, exactly as PIL resizes pictures. Views
    /// that a random crop resizes in training are not rounded.
    case bicubicBytes = "bicubic-bytes"

    /// The distance at which the filter ends when enlarging.
    var support: Double { self == .bilinear ? 1 : 2 }

    func weight(_ distance: Double) -> Double {
        let x = abs(distance)
        if x >= support { return 0 }
        switch self {
        case .bilinear: return 1 - x
        case .bicubic, .bicubicBytes:
            return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2
        }
    }
}

/// The weights for resizing one axis: which input pixels make up every output pixel.
///
/// When shrinking, the filter is widened by the factor, so that every input pixel counts
/// (antialiasing); this is what PIL does and torchvision with `antialias=True`.
struct AxisWeights {
    /// The first input pixel of every output pixel.
    let starts: [Int]
    /// Weights a row for every output pixel, `taps` long, padded with zeros.
    let weights: [Float]
    let taps: Int
    /// How many of the taps are inside the image.
    let counts: [Int]

    init(from input: Int, to output: Int, _ interpolation: Interpolation) {
        let scale = Double(input) / Double(output)
        let stretch = max(scale, 1)
        let support = interpolation.support * stretch
        taps = min(input, Int(support.rounded(.up)) * 2 + 1)
        var starts: [Int] = []
        var counts: [Int] = []
        var weights = [Float](repeating: 0, count: output * taps)
        for i in 0..<output {
            let center = scale * (Double(i) + 0.5)
            let first = max(Int(center - support + 0.5), 0)
            let end = min(Int(center + support + 0.5), input)
            let row = (first..<end).map { pixel in
                interpolation.weight((Double(pixel) - center + 0.5) / stretch)
            }
            let total = row.reduce(0, +)
            for (j, weight) in row.enumerated() { weights[i * taps + j] = Float(weight / total) }
            starts.append(first)
            counts.append(end - first)
        }
        self.starts = starts
        self.counts = counts
        self.weights = weights
    }
}

/// Resizes float planes, first along the rows, then along the columns.
package struct Resampler {
    package let input: ImageSize
    package let output: ImageSize
    private let horizontal: AxisWeights
    private let vertical: AxisWeights

    package init(from input: ImageSize, to output: ImageSize, _ interpolation: Interpolation) {
        self.input = input
        self.output = output
        horizontal = AxisWeights(from: input.width, to: output.width, interpolation)
        vertical = AxisWeights(from: input.height, to: output.height, interpolation)
    }

    /// The number of floats of working memory that a plane needs.
    package var scratchCount: Int { input.height * output.width }

    /// Resizes a plane of `input` size into one of `output` size.
    package func resize(
        _ plane: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        resizeRows(plane, into: scratch)
        resizeColumns(scratch, into: target)
    }

    private func resizeRows(
        _ plane: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>
    ) {
        horizontal.starts.withUnsafeBufferPointer { starts in
            horizontal.counts.withUnsafeBufferPointer { counts in
                horizontal.weights.withUnsafeBufferPointer { weights in
                    guard let allWeights = weights.baseAddress else { return }
                    for y in 0..<input.height {
                        let row = plane + y * input.width
                        let to = target + y * output.width
                        for x in 0..<output.width {
                            let from = row + starts[x]
                            let weight = allWeights + x * horizontal.taps
                            var sum: Float = 0
                            for j in 0..<counts[x] { sum += from[j] * weight[j] }
                            to[x] = sum
                        }
                    }
                }
            }
        }
    }

    private func resizeColumns(
        _ plane: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>
    ) {
        let width = output.width
        for y in 0..<output.height {
            let to = target + y * width
            to.update(repeating: 0, count: width)
            for j in 0..<vertical.counts[y] {
                let weight = vertical.weights[y * vertical.taps + j]
                let from = plane + (vertical.starts[y] + j) * width
                for x in 0..<width { to[x] += from[x] * weight }
            }
        }
    }
}
