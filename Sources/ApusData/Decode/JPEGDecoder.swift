/// Whole JPEG pictures, or parts of them, as gray or RGB turned upright.
enum JPEGDecoder {
    static func decode(
        _ bytes: UnsafeBufferPointer<UInt8>, name: String, limits: ImageDecoder
    ) throws -> Image {
        let reader = try JPEGReader(name: name)
        let header = try reader.begin(bytes, name: name, limits: limits)
        let size = header.size
        let count = size.height * size.width * header.samples
        let pixels = try [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            guard let base = target.baseAddress else { return }
            _ = try reader.read(
                Box(top: 0, left: 0, height: size.height, width: size.width), denominator: 1,
                samples: header.samples, name: name, memory: { _ in base })
            filled = count
        }
        return image(pixels, size, header)
    }

    /// An upright gray or RGB image from stored samples.
    static func image(_ pixels: [UInt8], _ size: ImageSize, _ header: JPEGReader.Header) -> Image {
        Image(
            width: size.width, height: size.height, channels: header.samples == 1 ? 1 : 3,
            pixels: header.samples == 4 ? convertAdobeCMYK(pixels) : pixels
        ).oriented(header.orientation)
    }

    /// RGB from CMYK as Adobe programs store it: inverted, so that 255 means no ink.
    ///
    /// The few files of other programs that do not invert cannot be told apart; PIL makes the
    /// same choice and the same rounding.
    private static func convertAdobeCMYK(_ cmyk: [UInt8]) -> [UInt8] {
        let count = cmyk.count / 4
        return [UInt8](unsafeUninitializedCapacity: count * 3) { target, filled in
            cmyk.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                for i in 0..<count {
                    let white = UInt32(from[4 * i + 3])
                    for c in 0..<3 {
                        let product = (255 &- UInt32(from[4 * i + c])) &* white &+ 128
                        let ink = ((product >> 8) &+ product) >> 8
                        to[3 * i + c] = UInt8(truncatingIfNeeded: white &- ink)
                    }
                }
            }
            filled = count * 3
        }
    }
}
