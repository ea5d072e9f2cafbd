import ApusData
import ApusTensor
import Foundation

/// A picture for those who bring none: hills under a sky with a sun, a house with edges in all
/// directions and a wall of bricks, rendered with grain. Gray, `side` pixels wide and high.
enum SampleScene {
    static func image(side: Int = 128) -> Image {
        let key = RandomKey(seed: 11).child("scene")
        let pixels = (0..<side * side).map { index -> UInt8 in
            let x = Double(index % side) / Double(side)
            let y = Double(index / side) / Double(side)
            let grain = Double(key.uniform(at: index)) - 0.5
            return UInt8(min(max(shade(x, y) + 0.06 * grain, 0), 1) * 255)
        }
        return Image(width: side, height: side, channels: 1, pixels: pixels)
    }

    /// Brightness in 0...1 of a place in 0...1.
    private static func shade(_ x: Double, _ y: Double) -> Double {
        let inHouse = (0.52...0.86).contains(x) && (0.52...0.82).contains(y)
        let roof = y > 0.30 + abs(x - 0.69) * 0.95 && y < 0.52
        let ground = 0.66 + 0.07 * sin(5 * x + 1) + 0.03 * sin(17 * x)
        if inHouse {
            if (0.58...0.66).contains(x) && (0.58...0.68).contains(y) { return 0.12 }
            if (0.74...0.81).contains(x) && (0.62...0.82).contains(y) { return 0.25 }
            let row = (y * 40).rounded(.down)
            let isJoint =
                (y * 40) - row < 0.16 || (x * 20 + row / 2).truncatingRemainder(dividingBy: 1) < 0.1
            return isJoint ? 0.82 : 0.6 - 0.12 * (x - 0.52)
        }
        if roof { return 0.3 + 0.1 * sin(90 * (y + 0.3 * x)) }
        if y > ground { return 0.36 - 0.2 * (y - ground) + 0.05 * sin(60 * x + 40 * y) }
        let sun = hypot(x - 0.24, y - 0.22)
        if sun < 0.09 { return 0.97 }
        return 0.72 - 0.3 * y + 0.18 * exp(-9 * sun)
    }
}
