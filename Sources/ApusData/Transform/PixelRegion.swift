/// A part of a decoded image, perhaps decoded at a fraction of its size.
struct PixelRegion {
    /// The first sample; channels are interleaved.
    let pixels: UnsafePointer<UInt8>
    let width: Int
    let height: Int
    /// 1 or 3.
    let channels: Int
    /// Where the region begins in the whole image, in pixels of the whole image at full size. A
    /// mirrored region at a fraction of the size may begin a little before the image.
    var top = 0
    var left = 0
    /// How many pixels of the full size one pixel of the region is wide and high.
    var denominator = 1

    /// The samples of a row.
    var stride: Int { width * channels }
}

extension Image {
    /// Calls `body` with the whole image as a region.
    func withRegion<Result>(_ body: (PixelRegion) -> Result) -> Result {
        pixels.withUnsafeBufferPointer { buffer in
            // An image has at least one pixel, so there is an address.
            guard let base = buffer.baseAddress else { fatalError("an image without pixels") }
            return body(
                PixelRegion(pixels: base, width: width, height: height, channels: channels))
        }
    }
}
