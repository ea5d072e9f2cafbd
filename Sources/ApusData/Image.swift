/// A picture of 8-bit samples: rows from the top, pixels from the left, channels interleaved.
public struct Image: Hashable, Sendable {
    public let width: Int
    public let height: Int
    /// 1 for gray, 3 for red, green, blue.
    public let channels: Int
    /// `height * width * channels` samples.
    public let pixels: [UInt8]

    /// Wraps `pixels`, whose number must be `height * width * channels`.
    public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0, "an image has at least one pixel")
        precondition(channels == 1 || channels == 3, "an image has 1 or 3 channels")
        precondition(
            pixels.count == width * height * channels,
            "\(pixels.count) samples do not fill \(width)x\(height)x\(channels)")
        self.width = width
        self.height = height
        self.channels = channels
        self.pixels = pixels
    }

    /// The height and the width.
    public var size: ImageSize { ImageSize(height: height, width: width) }

    /// The image with 1 or 3 channels.
    ///
    /// Gray from color is the luma of ITU-R 601 in PIL's integer arithmetic, so both give the
    /// same bytes; color from gray repeats the sample.
    public func converted(toChannels wanted: Int) -> Image {
        precondition(wanted == 1 || wanted == 3, "an image has 1 or 3 channels")
        if wanted == channels { return self }
        let count = width * height
        let result = [UInt8](unsafeUninitializedCapacity: count * wanted) { target, filled in
            pixels.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                if wanted == 1 {
                    for i in 0..<count {
                        let red = UInt32(from[3 * i]) &* 19595
                        let green = UInt32(from[3 * i + 1]) &* 38470
                        let blue = UInt32(from[3 * i + 2]) &* 7471
                        to[i] = UInt8(truncatingIfNeeded: (red &+ green &+ blue &+ 0x8000) >> 16)
                    }
                } else {
                    for i in 0..<count {
                        to[3 * i] = from[i]
                        to[3 * i + 1] = from[i]
                        to[3 * i + 2] = from[i]
                    }
                }
            }
            filled = count * wanted
        }
        return Image(width: width, height: height, channels: wanted, pixels: result)
    }
}
