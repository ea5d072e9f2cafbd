/// How any image becomes the input of a network: the part that is the same in training, in
/// evaluation and in use, and that a checkpoint therefore keeps.
///
/// The steps are, in this order: convert to `channels`, `resize`, `crop` the center, scale samples
/// to 0...1, subtract `mean` and divide by `deviation`.
public struct Preprocessing: Hashable, Codable, Sendable {
    /// 1 for gray, 3 for red, green, blue; images of the other kind are converted.
    public var channels: Int
    public var resize: Resize
    public var interpolation: Interpolation
    /// The size of the part taken from the center, or nil for the whole.
    public var crop: ImageSize?
    /// What is subtracted from every channel, in units where white is 1.
    public var mean: [Float]
    /// What every channel is then divided by, in units where white is 1.
    public var deviation: [Float]

    public init(
        channels: Int, resize: Resize = .none, interpolation: Interpolation = .bilinear,
        crop: ImageSize? = nil, mean: [Float], deviation: [Float]
    ) {
        self.channels = channels
        self.resize = resize
        self.interpolation = interpolation
        self.crop = crop
        self.mean = mean
        self.deviation = deviation
    }

    /// The statistics of Fashion-MNIST's training images.
    public static let fashionMNIST = Preprocessing(channels: 1, mean: [0.2860], deviation: [0.3530])

    /// The statistics of MNIST's training images.
    public static let mnist = Preprocessing(channels: 1, mean: [0.1307], deviation: [0.3081])

    /// The statistics of CIFAR-10's training images.
    public static let cifar = Preprocessing(
        channels: 3, mean: [0.4914, 0.4822, 0.4465], deviation: [0.2470, 0.2435, 0.2616])

    /// The usual preparation of photographs: the short side to `resize` pixels, then the center.
    public static func imageNet(resize: Int = 256, crop: Int = 224) -> Preprocessing {
        Preprocessing(
            channels: 3, resize: .shortSide(resize), crop: ImageSize(crop),
            mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225])
    }

    /// Throws if a value makes no sense, such as a deviation of zero.
    public func validate() throws {
        func check(_ isGood: Bool, _ problem: String, _ remedy: String) throws {
            if !isGood { throw DataError("preprocessing", problem, remedy: remedy) }
        }
        try check(channels == 1 || channels == 3, "channels is \(channels)", "use 1 or 3")
        try check(
            mean.count == channels && deviation.count == channels,
            "has \(mean.count) means and \(deviation.count) deviations for \(channels) channels",
            "give one of each for every channel")
        try check(
            mean.allSatisfy(\.isFinite) && deviation.allSatisfy { $0.isFinite && $0 > 0 },
            "mean or deviation is out of range", "give finite means and positive deviations")
        let sizes =
            switch resize {
            case .none: [1]
            case .shortSide(let side): [side]
            case .exact(let size): [size.height, size.width]
            }
        let allowed = 1...65536
        try check(
            sizes.allSatisfy(allowed.contains), "resize to \(sizes) is out of range",
            "use 1 to 65536 pixels")
        if let crop {
            try check(
                allowed.contains(crop.height) && allowed.contains(crop.width),
                "crop \(crop) is out of range", "use 1 to 65536 pixels")
        }
    }
}

/// Which size an image is brought to before it is cropped.
public enum Resize: Hashable, Sendable {
    /// The image keeps its size.
    case none
    /// The short side gets this many pixels, the long side follows in proportion.
    case shortSide(Int)
    /// The image gets this size, whatever its proportions.
    case exact(ImageSize)

    /// The size an image of size `size` gets; the long side is rounded down as torchvision does.
    public func size(of size: ImageSize) -> ImageSize {
        switch self {
        case .none: return size
        case .exact(let exact): return exact
        case .shortSide(let side):
            return size.height <= size.width
                ? ImageSize(height: side, width: max(1, side * size.width / size.height))
                : ImageSize(height: max(1, side * size.height / size.width), width: side)
        }
    }
}

/// Stored as `"none"`, a number for the short side, or `[height, width]`.
extension Resize: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let side = try? container.decode(Int.self) {
            self = .shortSide(side)
        } else if let size = try? container.decode(ImageSize.self) {
            self = .exact(size)
        } else if try container.decode(String.self) == "none" {
            self = .none
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "resize is none, a number or [height, width]")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .none: try container.encode("none")
        case .shortSide(let side): try container.encode(side)
        case .exact(let size): try container.encode(size)
        }
    }
}
