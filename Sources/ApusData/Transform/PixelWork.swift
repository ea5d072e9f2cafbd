import ApusTensor
import CKernels
import Foundation

/// Does pixel steps on the planes of one view, in place, and then the normalization.
///
/// Steps that look at one pixel at a time are collected and done in one pass over memory; only
/// the mean that contrast needs, and filters, end a pass.
package struct PixelWork {
    let planes: UnsafeMutablePointer<Float>
    let channels: Int
    let size: ImageSize
    /// What cut out pixels become: the color that normalization turns into 0.
    let mean: [Float]
    let scratch: TransformScratch

    package init(
        planes: UnsafeMutablePointer<Float>, channels: Int, size: ImageSize, mean: [Float],
        scratch: TransformScratch
    ) {
        self.planes = planes
        self.channels = channels
        self.size = size
        self.mean = mean
        self.scratch = scratch
    }

    private var plane: Int { size.height * size.width }

    /// - Parameters:
    ///   - scale: what samples of 0...1 are multiplied by at the end, a number a channel.
    ///   - bias: what is added then.
    package func run(_ steps: [PixelStep], scale: [Float], bias: [Float]) {
        var pending: [apus_pixel_step] = []
        swap(&pending, &scratch.pending)
        var blurEnds = false
        for (index, step) in steps.enumerated() {
            switch step {
            case .brightness(let factor): pending.append(.init(apus_pixel_blend, factor))
            case .contrast(let factor):
                let mean = flush(&pending, sums: true) / Double(plane)
                pending.append(
                    .init(apus_pixel_blend, factor, Float(mean) * (1 - factor)))
            case .saturation(let factor): pending.append(.init(apus_pixel_saturation, factor))
            case .hue(let turn):
                pending.append(.init(apus_pixel_hue, turn < 0 ? turn + 1 : turn))
            case .grayscale: pending.append(.init(apus_pixel_gray, 0))
            case .solarize(let threshold):
                pending.append(.init(apus_pixel_solarize, threshold))
            case .blur(let sigma, let radius):
                flush(&pending)
                blurEnds = index == steps.count - 1
                blur(
                    sigma: sigma, radius: radius, scale: blurEnds ? scale : nil,
                    bias: blurEnds ? bias : nil)
            case .cutout(let box):
                flush(&pending)
                cut(box)
            case .sobel:
                flush(&pending)
                replacePlanes { from, to in apus_sobel(from, to, size.height, size.width) }
            case .rotation(let angle):
                flush(&pending)
                rotate(cosine: cos(angle), sine: sin(angle))
            case .quarterTurns(let turns):
                flush(&pending)
                // Exact in integers, so that a square view is only rearranged.
                rotate(cosine: [1, 0, -1, 0][turns & 3], sine: [0, 1, 0, -1][turns & 3])
            case .noise(let deviation, let key):
                flush(&pending)
                apus_noise(planes, channels * plane, key.state, deviation)
                scratch.clock?.mark(.filter)
            }
        }
        if !blurEnds {
            pending.append(.affine(scale, bias))
            flush(&pending)
        }
        swap(&pending, &scratch.pending)
    }

    /// Does the collected steps; the sum of the luma afterwards if it is asked for.
    @discardableResult
    private func flush(_ pending: inout [apus_pixel_step], sums: Bool = false) -> Double {
        guard sums || !pending.isEmpty else { return 0 }
        let sum = apus_pixel_pass(
            planes, channels, plane, pending, pending.count, sums ? 1 : 0)
        let isNormalization = pending.first?.kind == apus_pixel_affine
        scratch.clock?.mark(isNormalization ? .normalize : .color)
        pending.removeAll(keepingCapacity: true)
        return sum
    }

    private func blur(sigma: Float, radius: Int, scale: [Float]?, bias: [Float]?) {
        let weights = Self.gaussian(sigma: sigma, radius: radius)
        let work = scratch.floats(plane + size.width + 2 * radius)
        for c in 0..<channels {
            apus_blur(
                planes + c * plane, size.height, size.width, weights, weights.count - 1,
                scale?[c] ?? 1, bias?[c] ?? 0, work)
        }
        scratch.clock?.mark(.blur)
    }

    /// Half of a normalized Gaussian kernel, from the center outwards. Weights that together make
    /// less than a millionth are left out: at the usual widths that is half of the kernel.
    static func gaussian(sigma: Float, radius: Int) -> [Float] {
        let half = (0...radius).map { exp(-0.5 * Double($0 * $0) / Double(sigma * sigma)) }
        let total = 2 * half.reduce(0, +) - half[0]
        var end = half.count
        var left = 0.0
        while end > 1, left + 2 * half[end - 1] < 1e-6 * total {
            left += 2 * half[end - 1]
            end -= 1
        }
        return half[..<end].map { Float($0 / total) }
    }

    private func cut(_ box: Box) {
        guard box.width > 0 else { return }
        for c in 0..<channels {
            for row in box.top..<(box.top + max(box.height, 0)) {
                (planes + c * plane + row * size.width + box.left)
                    .update(repeating: mean[c], count: box.width)
            }
        }
        scratch.clock?.mark(.filter)
    }

    private func rotate(cosine: Float, sine: Float) {
        replacePlanes { from, to in
            apus_rotate(from, to, size.height, size.width, cosine, sine)
        }
    }

    /// Replaces every plane by what `body` makes of a copy of it.
    private func replacePlanes(
        _ body: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
    ) {
        let copy = scratch.floats(plane)
        for c in 0..<channels {
            copy.update(from: planes + c * plane, count: plane)
            body(copy, planes + c * plane)
        }
        scratch.clock?.mark(.filter)
    }
}

extension apus_pixel_step {
    init(_ kind: apus_pixel_kind, _ a: Float, _ b: Float = 0) {
        self.init(kind: kind, a: (a, a, a), b: (b, b, b))
    }

    static func affine(_ scale: [Float], _ bias: [Float]) -> apus_pixel_step {
        func three(_ values: [Float]) -> (Float, Float, Float) {
            values.count == 3
                ? (values[0], values[1], values[2]) : (values[0], values[0], values[0])
        }
        return .init(kind: apus_pixel_affine, a: three(scale), b: three(bias))
    }
}
