import ApusData

/// An image under a heat map, with a box.
public struct HeatMapPicture: Sendable {
    private let image: Image
    private let map: HeatMap
    private let region: ImageRegion
    private let box: BoundingBox?

    /// `region` is the part of the image, in its pixels, that the map covers.
    /// Small images are enlarged by a whole factor.
    public init(_ image: Image, map: HeatMap, region: ImageRegion, box: BoundingBox?) {
        let factor = max(1, Self.smallest / max(image.width, image.height))
        let scale = Double(factor)
        self.image = image.converted(toChannels: 3).enlarged(factor)
        self.map = map
        self.region = ImageRegion(
            left: region.left * scale, top: region.top * scale, width: region.width * scale,
            height: region.height * scale)
        self.box = box.map {
            BoundingBox(
                left: $0.left * factor, top: $0.top * factor, width: $0.width * factor,
                height: $0.height * factor)
        }
    }

    /// Pixels of the longer side below which a picture is enlarged.
    private static let smallest = 256

    /// Draws the picture: half image, half colors from blue (nothing) to red
    /// (the map's maximum). What the map does not cover is gray.
    public func picture() -> Image {
        var pixels = image.pixels
        let maximum = max(map.maximum, .leastNormalMagnitude)
        let down = Double(map.height) / region.height
        let across = Double(map.width) / region.width
        for y in 0..<image.height {
            let row = (Double(y) + 0.5 - region.top) * down
            for x in 0..<image.width {
                let column = (Double(x) + 0.5 - region.left) * across
                let isCovered =
                    row >= 0 && column >= 0 && row <= Double(map.height)
                    && column <= Double(map.width)
                let color =
                    isCovered
                    ? Self.color(max(0, map.value(row: row, column: column)) / maximum)
                    : [0.5, 0.5, 0.5]
                let at = (y * image.width + x) * 3
                for channel in 0..<3 {
                    pixels[at + channel] = UInt8(
                        (Float(pixels[at + channel]) + 255 * color[channel]) / 2)
                }
            }
        }
        if let box { draw(box, on: &pixels) }
        return Image(width: image.width, height: image.height, channels: 3, pixels: pixels)
    }

    /// Blue, cyan, yellow, red for 0...1.
    private static func color(_ value: Float) -> [Float] {
        // Weights that diverged make maps that are not numbers.
        guard value.isFinite else { return [0.5, 0.5, 0.5] }
        return [3, 2, 1].map { min(max(1.5 - abs(4 * value - $0), 0), 1) }
    }

    /// A white frame inside the box, with a black edge so that it shows on any color.
    private func draw(_ box: BoundingBox, on pixels: inout [UInt8]) {
        let thickness = max(2, max(image.width, image.height) / 200)
        for y in box.top..<box.top + box.height {
            for x in box.left..<box.left + box.width {
                let depth = min(
                    y - box.top, box.top + box.height - 1 - y, x - box.left,
                    box.left + box.width - 1 - x)
                guard depth < thickness else { continue }
                let white: UInt8 = depth == 0 || depth == thickness - 1 && depth > 1 ? 0 : 255
                let at = (y * image.width + x) * 3
                for channel in 0..<3 { pixels[at + channel] = white }
            }
        }
    }
}

extension Image {
    /// Every pixel as a square of `factor` pixels.
    fileprivate func enlarged(_ factor: Int) -> Image {
        if factor == 1 { return self }
        var pixels: [UInt8] = []
        pixels.reserveCapacity(self.pixels.count * factor * factor)
        for y in 0..<height * factor {
            let row = y / factor * width
            for x in 0..<width * factor {
                let at = (row + x / factor) * channels
                pixels += self.pixels[at..<at + channels]
            }
        }
        return Image(
            width: width * factor, height: height * factor, channels: channels, pixels: pixels)
    }
}
