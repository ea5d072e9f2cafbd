/// Mean and deviation of a data set's channels, and whether its images agree in size.
///
/// Looks at up to `limit` images, evenly spaced, so that the same data always give the same
/// numbers. Every image counts the same, whatever its size.
public struct DataStatistics: Hashable, Sendable {
    /// How many images were looked at.
    public let images: Int
    /// 3 if any image has color.
    public let channels: Int
    /// The size of all images looked at; nil if they differ.
    public let size: ImageSize?
    /// Per channel, in units where white is 1.
    public let mean: [Float]
    public let deviation: [Float]
    /// Two images of different sizes, for messages; empty if there are none.
    public let differing: [String]

    /// - Parameter channels: what images are converted to; nil for what they are.
    public init(_ source: any ImageSource, channels: Int? = nil, limit: Int = 2000) throws {
        let count = min(max(limit, 1), source.count)
        guard count > 0 else {
            throw DataError("data set", "has no images", remedy: "choose another one")
        }
        var means = [Double](repeating: 0, count: 3)
        var squares = [Double](repeating: 0, count: 3)
        var hasColor = false
        var first: ImageSize?
        var differing: [String] = []
        for sample in 0..<count {
            let index = sample * source.count / count
            let image = try source.image(at: index)
            let size = ImageSize(height: image.height, width: image.width)
            if let first, first != size, differing.isEmpty {
                differing = [
                    "\(source.name(of: 0)) is \(first)", "\(source.name(of: index)) is \(size)",
                ]
            }
            first = first ?? size
            let picture = channels == 1 ? image.converted(toChannels: 1) : image
            hasColor = hasColor || picture.channels == 3
            let sums = Self.sums(picture)
            let pixels = Double(image.width * image.height)
            for channel in 0..<3 {
                // Gray is the same in all channels.
                let (sum, square) = sums[picture.channels == 3 ? channel : 0]
                means[channel] += Double(sum) / (255 * pixels)
                squares[channel] += Double(square) / (255 * 255 * pixels)
            }
        }
        let channels = channels ?? (hasColor ? 3 : 1)
        images = count
        self.channels = channels
        size = differing.isEmpty ? first : nil
        self.differing = differing
        mean = means.prefix(channels).map { Float($0 / Double(count)) }
        deviation = zip(means, squares).prefix(channels).map { mean, square in
            let average = mean / Double(count)
            let variance = square / Double(count) - average * average
            // Images of one color would otherwise be divided by zero.
            return Float(max(variance, 1.0 / (255 * 255)).squareRoot())
        }
    }

    /// Sum and sum of squares of every channel, exact.
    private static func sums(_ image: Image) -> [(UInt64, UInt64)] {
        let channels = image.channels
        return image.pixels.withUnsafeBufferPointer { pixels in
            (0..<channels).map { channel in
                var sum: UInt64 = 0
                var square: UInt64 = 0
                var index = channel
                while index < pixels.count {
                    let value = UInt64(pixels[index])
                    sum &+= value
                    square &+= value &* value
                    index += channels
                }
                return (sum, square)
            }
        }
    }
}

extension Preprocessing {
    /// The preparation of a data set, and what its images look like afterwards: published
    /// statistics for the data sets that have them, measured ones for others.
    ///
    /// - Parameters:
    ///   - name: the data set as `DataSets.open` takes it
    ///   - side: resize the short side to so many pixels and take the square in the center
    ///   - channels: 1 or 3; nil for what the images have
    public static func suggested(
        for source: any ImageSource, name: String, side: Int? = nil, channels: Int? = nil
    ) throws -> (preprocessing: Preprocessing, input: ImageShape) {
        var result: Preprocessing
        var size = source.imageShape?.size
        if let known = published(source, name), channels ?? known.channels == known.channels {
            result = known
        } else {
            let measured = try DataStatistics(source, channels: channels)
            size = size ?? measured.size
            guard size != nil || side != nil else {
                throw DataError(
                    name,
                    "has images of different sizes: "
                        + measured.differing.joined(separator: ", "),
                    remedy: "give --side to resize them all")
            }
            result = Preprocessing(
                channels: measured.channels, mean: measured.mean, deviation: measured.deviation)
        }
        if let side {
            result.resize = .shortSide(side)
            result.crop = ImageSize(side)
            size = result.crop
        }
        try result.validate()
        let shape = size ?? ImageSize(1)
        return (
            result,
            ImageShape(channels: result.channels, height: shape.height, width: shape.width)
        )
    }

    private static func published(_ source: any ImageSource, _ name: String) -> Preprocessing? {
        if source is CIFARSource { return .cifar }
        if name == "fashion-mnist" || name.hasPrefix("fashion-mnist:") { return .fashionMNIST }
        return name.hasPrefix("mnist:") ? .mnist : nil
    }
}

extension DataSets {
    /// Opens the test split, or gives nil where the data set has none.
    public static func openTest(_ name: String) throws -> (any ImageSource)? {
        do {
            return try open(name, split: .test)
        } catch let error as DataError where error.problem.contains("test split") {
            return nil
        }
    }
}
