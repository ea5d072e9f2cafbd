/// A random change of the pixels of a view, on samples of 0...1 at the size of the output.
///
/// `probability` is the share of views that are changed. Results of brightness, contrast,
/// saturation, hue, graying, solarizing, blur and rotation are torchvision's for float images.
public enum PixelOperation: Hashable, Codable, Sendable {
    /// Brightness, contrast and saturation are each multiplied by a factor of up to 1 +- the
    /// value, hue is turned by up to +- the value, where 0.5 is half the color wheel; in random
    /// order. Samples are clamped to 0...1 after each.
    case color(
        brightness: Float, contrast: Float, saturation: Float, hue: Float, probability: Float)
    /// Every channel becomes the luma.
    case grayscale(probability: Float)
    /// A Gaussian of random width in pixels. The kernel is `kernel` of the side long, rounded down
    /// to an odd number (SimCLR: 0.1, 23 pixels for 224), and reflects at the edges.
    case blur(sigma: ClosedRange<Float>, kernel: Float, probability: Float)
    /// Samples of `threshold` or more are inverted.
    case solarize(threshold: Float, probability: Float)
    /// A square of `side` of the short side around a random pixel takes the mean of the data set,
    /// 0 after normalization (DeVries, Taylor 2017). What lies beyond the edge is cut off.
    case cutout(side: Float, probability: Float)
    /// A turn around the center by a random angle, counter-clockwise; corners become black.
    case rotation(degrees: ClosedRange<Float>, probability: Float)
    /// A turn by 90, 180 or 270 degrees. An oblong view keeps its shape: corners become black.
    case quarterTurns(probability: Float)
    /// Every channel becomes the magnitude of its Sobel gradient, where a step from black to white
    /// is 1.
    case sobel(probability: Float)
    /// Gaussian noise of random deviation on every sample.
    case noise(deviation: ClosedRange<Float>, probability: Float)

    /// SimCLR's color jitter of strength `strength`.
    public static func simCLRColor(strength: Float = 1, probability: Float = 0.8) -> PixelOperation
    {
        .color(
            brightness: 0.8 * strength, contrast: 0.8 * strength, saturation: 0.8 * strength,
            hue: 0.2 * strength, probability: probability)
    }

    /// What is left of the operation for images of one channel; nil if nothing is.
    var forGray: PixelOperation? {
        switch self {
        case .color(let brightness, let contrast, _, _, let probability):
            return .color(
                brightness: brightness, contrast: contrast, saturation: 0, hue: 0,
                probability: probability)
        case .grayscale: return nil
        case .blur, .solarize, .cutout, .rotation, .quarterTurns, .sobel, .noise: return self
        }
    }

    /// The part of the key's name that stands for the operation.
    var name: String {
        switch self {
        case .color: "color"
        case .grayscale: "grayscale"
        case .blur: "blur"
        case .solarize: "solarize"
        case .cutout: "cutout"
        case .rotation: "rotation"
        case .quarterTurns: "quarterTurns"
        case .sobel: "sobel"
        case .noise: "noise"
        }
    }

    var probability: Float {
        switch self {
        case .color(_, _, _, _, let probability), .grayscale(let probability),
            .blur(_, _, let probability), .solarize(_, let probability),
            .cutout(_, let probability), .rotation(_, let probability),
            .quarterTurns(let probability), .sobel(let probability), .noise(_, let probability):
            probability
        }
    }

    func validate() throws {
        func check(_ isGood: Bool, _ problem: String, _ remedy: String) throws {
            if !isGood { throw DataError("augmentation", "\(name): \(problem)", remedy: remedy) }
        }
        try check(
            (0...1).contains(probability), "the probability is \(probability)", "use 0 to 1")
        switch self {
        case .color(let brightness, let contrast, let saturation, let hue, _):
            try check(
                [brightness, contrast, saturation].allSatisfy { (0...100).contains($0) },
                "brightness, contrast and saturation are \(brightness), \(contrast), \(saturation)",
                "use 0 to 100")
            try check((0...0.5).contains(hue), "the hue is \(hue)", "use 0 to 0.5")
        case .blur(let sigma, let kernel, _):
            try check(
                sigma.lowerBound > 0 && sigma.upperBound <= 1000, "sigma is \(sigma)",
                "use more than 0 and up to 1000 pixels")
            try check(
                kernel > 0 && kernel <= 1, "the kernel is \(kernel) of the side",
                "use more than 0 and up to 1")
        case .solarize(let threshold, _):
            try check((0...1).contains(threshold), "the threshold is \(threshold)", "use 0 to 1")
        case .cutout(let side, _):
            try check((0...1).contains(side), "the side is \(side)", "use 0 to 1")
        case .rotation(let degrees, _):
            try check(
                degrees.lowerBound >= -360 && degrees.upperBound <= 360, "turns by \(degrees)",
                "use -360 to 360 degrees")
        case .noise(let deviation, _):
            try check(
                deviation.lowerBound >= 0 && deviation.upperBound <= 10,
                "the deviation is \(deviation)", "use 0 to 10")
        case .grayscale, .quarterTurns, .sobel: break
        }
    }
}
