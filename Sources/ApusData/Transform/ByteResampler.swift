extension Image {
    /// The picture at another size, antialiased, in the integer arithmetic of PIL and to the same
    /// bytes: weights of 22 bits after the point, first along rows, then along columns, rounded to
    /// samples after each. Weights of networks are tied to what they were evaluated with.
    package func resizedInBytes(to size: ImageSize, _ interpolation: Interpolation) -> Image {
        var result = self
        if size.width != width {
            let axis = FixedPointAxis(from: width, to: size.width, interpolation)
            result = Image(
                width: size.width, height: height, channels: channels,
                pixels: axis.alongRows(result))
        }
        if size.height != height {
            let axis = FixedPointAxis(from: height, to: size.height, interpolation)
            result = Image(
                width: size.width, height: size.height, channels: channels,
                pixels: axis.alongColumns(result))
        }
        return result
    }
}

/// The weights for one axis as integers.
private struct FixedPointAxis {
    /// The first input pixel of every output pixel, and how many count.
    private var starts: [Int] = []
    private var counts: [Int] = []
    /// A row of `taps` for every output pixel.
    private var weights: [Int32]
    private let taps: Int
    private static let fractionBits = 22

    init(from input: Int, to output: Int, _ interpolation: Interpolation) {
        let scale = Double(input) / Double(output)
        let stretch = max(scale, 1)
        let support = interpolation.support * stretch
        taps = Int(support.rounded(.up)) * 2 + 1
        weights = [Int32](repeating: 0, count: output * taps)
        for i in 0..<output {
            let center = (Double(i) + 0.5) * scale
            let first = max(Int(center - support + 0.5), 0)
            let end = min(Int(center + support + 0.5), input)
            let row = (first..<end).map {
                interpolation.weight((Double($0) - center + 0.5) * (1 / stretch))
            }
            let total = row.reduce(0, +)
            for (j, weight) in row.enumerated() {
                let fixed = weight / total * Double(1 << Self.fractionBits)
                weights[i * taps + j] = Int32(fixed < 0 ? fixed - 0.5 : fixed + 0.5)
            }
            starts.append(first)
            counts.append(end - first)
        }
    }

    private func sample(_ sum: Int32) -> UInt8 {
        UInt8(clamping: sum >> Int32(Self.fractionBits))
    }

    private static let half: Int32 = 1 << Int32(fractionBits - 1)

    func alongRows(_ image: Image) -> [UInt8] {
        let channels = image.channels
        let count = starts.count
        return Self.fill(image.height * count * channels, from: image.pixels) { source, target in
            for y in 0..<image.height {
                let row = source + y * image.width * channels
                let to = target + y * count * channels
                for x in 0..<count {
                    let from = row + starts[x] * channels
                    for c in 0..<channels {
                        var sum = Self.half
                        for j in 0..<counts[x] {
                            sum &+= Int32(from[j * channels + c]) &* weights[x * taps + j]
                        }
                        to[x * channels + c] = sample(sum)
                    }
                }
            }
        }
    }

    func alongColumns(_ image: Image) -> [UInt8] {
        let stride = image.width * image.channels
        var sums = [Int32](repeating: 0, count: stride)
        return Self.fill(starts.count * stride, from: image.pixels) { source, target in
            for y in 0..<starts.count {
                for x in 0..<stride { sums[x] = Self.half }
                for j in 0..<counts[y] {
                    let weight = weights[y * taps + j]
                    let from = source + (starts[y] + j) * stride
                    for x in 0..<stride { sums[x] &+= Int32(from[x]) &* weight }
                }
                for x in 0..<stride { target[y * stride + x] = sample(sums[x]) }
            }
        }
    }

    private static func fill(
        _ count: Int, from pixels: [UInt8],
        _ body: (UnsafePointer<UInt8>, UnsafeMutablePointer<UInt8>) -> Void
    ) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            pixels.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                body(from, to)
                filled = count
            }
        }
    }
}
