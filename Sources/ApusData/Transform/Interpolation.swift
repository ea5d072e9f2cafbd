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

    @inline(__always)
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
