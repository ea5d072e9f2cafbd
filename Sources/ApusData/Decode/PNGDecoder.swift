import CPNG

/// PNG through libpng's simplified interface: any color type and depth to 8-bit gray or RGB.
enum PNGDecoder {
    static func decode(_ bytes: [UInt8], name: String, limits: ImageDecoder) throws -> Image {
        // On the heap because libpng keeps the address between the two calls.
        let picture = UnsafeMutablePointer<png_image>.allocate(capacity: 1)
        picture.initialize(to: png_image())
        defer {
            png_image_free(picture)
            picture.deinitialize(count: 1)
            picture.deallocate()
        }
        return try bytes.withUnsafeBytes { source in
            guard apus_png_begin(picture, source.baseAddress, source.count) != 0 else {
                throw damaged(picture, name)
            }
            let width = Int(picture.pointee.width)
            let height = Int(picture.pointee.height)
            try limits.checkSize(width: width, height: height, name: name)
            let channels = apus_png_has_color(picture) != 0 ? 3 : 1
            let hasAlpha = apus_png_has_alpha(picture) != 0
            let count = width * height * (channels + (hasAlpha ? 1 : 0))
            let pixels = try [UInt8](unsafeUninitializedCapacity: count) { target, filled in
                guard apus_png_finish(picture, target.baseAddress) != 0 else {
                    throw damaged(picture, name)
                }
                filled = count
            }
            return Image(
                width: width, height: height, channels: channels,
                pixels: hasAlpha ? overWhite(pixels, channels: channels) : pixels)
        }
    }

    private static func damaged(
        _ picture: UnsafePointer<png_image>, _ name: String
    ) -> DataError {
        DataError(
            name, "is a damaged PNG image (\(String(cString: apus_png_message(picture))))",
            remedy: "get the file again or remove it")
    }

    /// Lays the picture over a white page, mixing the stored samples as browsers do.
    private static func overWhite(_ pixels: [UInt8], channels: Int) -> [UInt8] {
        let stride = channels + 1
        let count = pixels.count / stride
        return [UInt8](unsafeUninitializedCapacity: count * channels) { target, filled in
            pixels.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                for i in 0..<count {
                    let alpha = UInt32(from[i * stride + channels])
                    for c in 0..<channels {
                        let ink = UInt32(from[i * stride + c]) &* alpha
                        let sum = ink &+ 255 &* (255 &- alpha) &+ 127
                        to[i * channels + c] = UInt8(truncatingIfNeeded: sum / 255)
                    }
                }
            }
            filled = count * channels
        }
    }
}
