import ApusTensor

/// A pixel operation with every number drawn: what happens to one view.
package enum PixelStep: Hashable, Sendable {
    case brightness(Float)
    case contrast(Float)
    case saturation(Float)
    /// The turn as a share of the color wheel, -0.5...0.5.
    case hue(Float)
    case grayscale
    case solarize(Float)
    case blur(sigma: Float, radius: Int)
    case cutout(Box)
    /// Counter-clockwise, in radians.
    case rotation(Float)
    /// Counter-clockwise by so many right angles, 1...3.
    case quarterTurns(Int)
    case sobel
    case noise(deviation: Float, key: RandomKey)
}

extension PixelOperation {
    /// Appends what `key` decides for a view of `size`, which may be nothing.
    func draw(_ key: RandomKey, size: ImageSize, channels: Int, into steps: inout [PixelStep]) {
        // A probability of 1 always holds: uniform numbers are below 1.
        guard key.uniform(at: 0) < probability else { return }
        switch self {
        case .color(let brightness, let contrast, let saturation, let hue, _):
            // The order is a permutation of four, drawn as one number in 0..<24.
            var rest = key.integer(below: 24, at: 1)
            var kinds: (Int, Int, Int, Int) = (0, 1, 2, 3)
            withUnsafeMutableBytes(of: &kinds) { memory in
                let kinds = memory.bindMemory(to: Int.self)
                for i in stride(from: 3, to: 0, by: -1) {
                    kinds.swapAt(i, rest % (i + 1))
                    rest /= i + 1
                }
                for kind in kinds {
                    switch kind {
                    case 0 where brightness > 0:
                        steps.append(.brightness(Self.factor(brightness, key, 2)))
                    case 1 where contrast > 0:
                        steps.append(.contrast(Self.factor(contrast, key, 3)))
                    case 2 where saturation > 0 && channels == 3:
                        steps.append(.saturation(Self.factor(saturation, key, 4)))
                    case 3 where hue > 0 && channels == 3:
                        steps.append(.hue(key.uniform(in: -hue...hue, at: 5)))
                    default: break
                    }
                }
            }
        case .grayscale: if channels == 3 { steps.append(.grayscale) }
        case .blur(let sigma, let kernel, _):
            let side = Float(min(size.height, size.width))
            let radius = min(Int(kernel * side) / 2, Int(side) - 1)
            if radius > 0 {
                steps.append(.blur(sigma: key.uniform(in: sigma, at: 1), radius: radius))
            }
        case .solarize(let threshold, _): steps.append(.solarize(threshold))
        case .cutout(let side, _):
            let side = Int((side * Float(min(size.height, size.width))).rounded())
            let row = key.integer(below: size.height, at: 1) - side / 2
            let column = key.integer(below: size.width, at: 2) - side / 2
            let top = max(row, 0)
            let left = max(column, 0)
            steps.append(
                .cutout(
                    Box(
                        top: top, left: left, height: min(row + side, size.height) - top,
                        width: min(column + side, size.width) - left)))
        case .rotation(let degrees, _):
            steps.append(.rotation(key.uniform(in: degrees, at: 1) * (.pi / 180)))
        case .quarterTurns: steps.append(.quarterTurns(1 + key.integer(below: 3, at: 1)))
        case .sobel: steps.append(.sobel)
        case .noise(let deviation, _):
            steps.append(
                .noise(
                    deviation: key.uniform(in: deviation, at: 1), key: key.child("samples")))
        }
    }

    /// A factor around 1, as torchvision draws it.
    private static func factor(_ strength: Float, _ key: RandomKey, _ counter: Int) -> Float {
        key.uniform(in: max(0, 1 - strength)...(1 + strength), at: counter)
    }
}
