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

    /// - Parameters:
    ///   - channels: what images are converted to; nil for what they are
    ///   - skipsBroken: whether images that cannot be read are left out instead of an error
    public init(
        _ source: any ImageSource, channels: Int? = nil, limit: Int = 2000,
        skipsBroken: Bool = false
    ) throws {
        let count = min(max(limit, 1), source.count)
        guard count > 0 else {
            throw DataError("data set", "has no images", remedy: "choose another one")
        }
        var sums = ChannelSums()
        var first: (name: String, size: ImageSize)?
        var differing: [String] = []
        for sample in 0..<count {
            let index = sample * source.count / count
            let image: Image
            do {
                image = try source.image(at: index)
            } catch {
                if skipsBroken { continue }
                throw error
            }
            let size = image.size
            if let first, first.size != size, differing.isEmpty {
                differing = [
                    "\(first.name) is \(first.size)", "\(source.name(of: index)) is \(size)",
                ]
            }
            first = first ?? (source.name(of: index), size)
            sums.add(ImageSums(channels == 1 ? image.converted(toChannels: 1) : image))
        }
        guard sums.images > 0 else {
            throw DataError(
                source.name(of: 0), "is one of \(count) images none of which can be read",
                remedy: "look at them with `apus data check`")
        }
        images = sums.images
        self.channels = channels ?? (sums.hasColor ? 3 : 1)
        size = differing.isEmpty ? first?.size : nil
        self.differing = differing
        (mean, deviation) = sums.statistics(channels: self.channels)
    }
}

/// Mean and mean square of one image's channels, where white is 1.
struct ImageSums: Hashable, Sendable {
    let hasColor: Bool
    /// Three channels each; those of gray are the same.
    let means: [Double]
    let squares: [Double]

    init(_ image: Image) {
        hasColor = image.channels == 3
        let pixels = Double(image.width * image.height)
        let sums = Self.sums(image)
        let channels = (0..<3).map { sums[image.channels == 3 ? $0 : 0] }
        means = channels.map { Double($0.0) / (255 * pixels) }
        squares = channels.map { Double($0.1) / (255 * 255 * pixels) }
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

/// The sums of many images, added in a fixed order. Every image counts the same, whatever its size.
struct ChannelSums: Hashable, Sendable {
    private(set) var images = 0
    private(set) var hasColor = false
    private var means = [Double](repeating: 0, count: 3)
    private var squares = [Double](repeating: 0, count: 3)

    mutating func add(_ image: ImageSums) {
        images += 1
        hasColor = hasColor || image.hasColor
        for channel in 0..<3 {
            means[channel] += image.means[channel]
            squares[channel] += image.squares[channel]
        }
    }

    /// Mean and deviation of the first `channels` channels.
    func statistics(channels: Int) -> (mean: [Float], deviation: [Float]) {
        let count = Double(max(images, 1))
        let deviation = zip(means, squares).prefix(channels).map { mean, square in
            let average = mean / count
            // Images of one color would otherwise be divided by zero.
            return Float(max(square / count - average * average, 1.0 / (255 * 255)).squareRoot())
        }
        return (means.prefix(channels).map { Float($0 / count) }, deviation)
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
    ///   - skipsBroken: whether images that cannot be read are left out instead of an error
    public static func suggested(
        for source: any ImageSource, name: String, side: Int? = nil, channels: Int? = nil,
        skipsBroken: Bool = false
    ) throws -> (preprocessing: Preprocessing, input: ImageShape) {
        var result: Preprocessing
        var size = source.imageShape?.size
        if let known = published(source, name), channels ?? known.channels == known.channels {
            result = known
        } else {
            let measured = try DataStatistics(
                source, channels: channels, skipsBroken: skipsBroken)
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
        // What a part of a data set looks like is what the whole does.
        if let part = source as? SubsetSource {
            return published(part.base, (try? HeldOut.parse(name))?.base ?? name)
        }
        if source is CIFARSource { return .cifar }
        if name == "fashion-mnist" || name.hasPrefix("fashion-mnist:") { return .fashionMNIST }
        return name.hasPrefix("mnist:") ? .mnist : nil
    }
}

extension DataSets {
    /// Opens all splits that a data set has, the training split first.
    public static func openSplits(
        _ name: String
    ) throws -> [(split: Split, source: any ImageSource)] {
        let train = try open(name, split: .train)
        return [(.train, train)] + (try openTest(name).map { [(.test, $0)] } ?? [])
    }

    /// Opens the test split, or gives nil where the data set has none.
    public static func openTest(_ name: String) throws -> (any ImageSource)? {
        do {
            return try open(name, split: .test)
        } catch let error as DataError where error.problem.contains("test split") {
            return nil
        }
    }
}
