import CPNG

/// PNG through libpng's simplified interface: any color type and depth to 8-bit gray or RGB.
enum PNGDecoder {
    static func decode(_ bytes: [UInt8], name: String, limits: ImageDecoder) throws -> Image {
        try bytes.withUnsafeBytes { source in
            var header = apus_png_header()
            guard let picture = apus_png_begin(source.baseAddress, source.count, &header) else {
                throw DataError(name, "cannot be decoded (no memory)", remedy: "free some memory")
            }
            defer { apus_png_end(picture) }
            try check(picture, name, limits)
            let width = Int(header.width)
            let height = Int(header.height)
            try limits.checkSize(width: width, height: height, name: name)
            let channels = header.has_color != 0 ? 3 : 1
            let hasAlpha = header.has_alpha != 0
            let count = width * height * (channels + (hasAlpha ? 1 : 0))
            let pixels = try [UInt8](unsafeUninitializedCapacity: count) { target, filled in
                _ = apus_png_read(picture, limits.maximumSeconds, target.baseAddress)
                try check(picture, name, limits)
                filled = count
            }
            return Image(
                width: width, height: height, channels: channels,
                pixels: hasAlpha ? overWhite(pixels, channels: channels) : pixels)
        }
    }

    private static func check(
        _ picture: OpaquePointer, _ name: String, _ limits: ImageDecoder
    ) throws {
        guard let message = apus_png_message(picture) else { return }
        guard apus_png_is_too_slow(picture) == 0 else {
            throw ImageDecoder.tooSlow(limits.maximumSeconds, name)
        }
        throw DataError(
            name, "is a damaged PNG image (\(String(cString: message)))",
            remedy: "get the file again or remove it")
    }

    /// Lays the picture over a white page, mixing the stored samples as browsers do.
    static func overWhite(_ pixels: [UInt8], channels: Int) -> [UInt8] {
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
