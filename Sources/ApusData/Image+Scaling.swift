extension Image {
    /// The image with its long side at `side` pixels and the other in proportion.
    package func scaled(toLongSide side: Int) -> Image {
        let longest = max(width, height)
        func scale(_ length: Int) -> Int { max(1, (length * side + longest / 2) / longest) }
        return scaled(to: ImageSize(height: scale(height), width: scale(width)))
    }

    /// The image at any size, bilinear and antialiased, rounded to 8 bits once.
    package func scaled(to size: ImageSize) -> Image {
        guard size != ImageSize(height: height, width: width) else { return self }
        let across = AxisFilter(from: width, to: size.width)
        let down = AxisFilter(from: height, to: size.height)
        // Rows first, kept as floats: [height, size.width, channels].
        let stride = size.width * channels
        var rows = [Float](repeating: 0, count: height * stride)
        pixels.withUnsafeBufferPointer { pixels in
            for y in 0..<height {
                for x in 0..<size.width {
                    for tap in 0..<across.taps {
                        let weight = across.weights[x * across.taps + tap]
                        let pixel = across.first + Int(across.starts[x]) + tap
                        let from = (y * width + pixel) * channels
                        for c in 0..<channels {
                            rows[y * stride + x * channels + c] += weight * Float(pixels[from + c])
                        }
                    }
                }
            }
        }
        let result = [UInt8](unsafeUninitializedCapacity: size.height * stride) { target, filled in
            var sums = [Float](repeating: 0, count: stride)
            for y in 0..<size.height {
                for x in 0..<stride { sums[x] = 0 }
                for tap in 0..<down.taps {
                    let weight = down.weights[y * down.taps + tap]
                    let from = (down.first + Int(down.starts[y]) + tap) * stride
                    for x in 0..<stride { sums[x] += weight * rows[from + x] }
                }
                for x in 0..<stride {
                    target[y * stride + x] = UInt8(min(max(sums[x].rounded(), 0), 255))
                }
            }
            filled = size.height * stride
        }
        return Image(width: size.width, height: size.height, channels: channels, pixels: result)
    }
}

extension AxisFilter {
    /// The filter of a whole axis.
    fileprivate convenience init(from input: Int, to output: Int) {
        self.init()
        prepare(
            offset: 0, length: Double(input), bounds: 0..<input, outputs: output,
            range: 0..<output, mirrors: false, .bilinear)
    }
}
