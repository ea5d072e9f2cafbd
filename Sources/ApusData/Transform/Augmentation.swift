import ApusTensor
import Foundation

/// The random changes of training images: what the network shall not care about.
///
/// Every number is drawn from a key that names the seed, the epoch and the sample, so what
/// happens to an image depends on nothing else.
public struct Augmentation: Hashable, Codable, Sendable {
    /// The image is framed by this many black pixels, and the crop taken at a random place of
    /// the framed image instead of the center; 0 leaves the center crop.
    public var randomCropPadding: Int
    /// Half of the images are mirrored left to right.
    public var horizontalFlip: Bool
    /// Cuts a random part and resizes it to the size of the input, in place of the resizing and
    /// the crop of the preprocessing.
    public var randomResizedCrop: RandomResizedCrop?

    public init(
        randomCropPadding: Int = 0, horizontalFlip: Bool = false,
        randomResizedCrop: RandomResizedCrop? = nil
    ) {
        self.randomCropPadding = randomCropPadding
        self.horizontalFlip = horizontalFlip
        self.randomResizedCrop = randomResizedCrop
    }

    /// Crops of the image padded by 4 and mirrored images: the usual choice for CIFAR.
    public static let cropAndFlip = Augmentation(randomCropPadding: 4, horizontalFlip: true)

    /// The key of all random numbers for a sample in an epoch.
    public static func key(seed: UInt64, epoch: Int, sample: Int) -> RandomKey {
        RandomKey(seed: seed).child("augment").child(epoch).child(sample)
    }

    /// Throws if a value makes no sense, such as a negative padding.
    public func validate() throws {
        guard (0...4096).contains(randomCropPadding) else {
            throw DataError(
                "augmentation", "randomCropPadding is \(randomCropPadding)",
                remedy: "use 0 to 4096 pixels")
        }
        guard let part = randomResizedCrop else { return }
        guard randomCropPadding == 0 else {
            throw DataError(
                "augmentation", "randomCropPadding and randomResizedCrop exclude each other",
                remedy: "choose one of them")
        }
        guard part.scale.lowerBound > 0, part.scale.upperBound <= 1, part.ratio.lowerBound > 0,
            part.ratio.upperBound.isFinite
        else {
            throw DataError(
                "augmentation", "randomResizedCrop is out of range",
                remedy: "use a scale above 0 and up to 1 and a positive ratio")
        }
    }
}

/// A random part of the image, chosen by area and proportions as torchvision does.
public struct RandomResizedCrop: Hashable, Codable, Sendable {
    /// The area of the part relative to the image.
    public var scale: ClosedRange<Float>
    /// Width divided by height of the part.
    public var ratio: ClosedRange<Float>

    public init(scale: ClosedRange<Float> = 0.08...1, ratio: ClosedRange<Float> = 0.75...(4.0 / 3))
    {
        self.scale = scale
        self.ratio = ratio
    }

    /// The part of an image of size `size` that `key` chooses.
    package func box(in size: ImageSize, key: RandomKey) -> Box {
        let area = Double(size.height * size.width)
        let logLow = log(Double(ratio.lowerBound))
        let logHigh = log(Double(ratio.upperBound))
        for attempt in 0..<10 {
            let target = area * Double(key.uniform(in: scale, at: 4 * attempt))
            let place = Double(key.uniform(at: 4 * attempt + 1))
            let aspect = exp(logLow + (logHigh - logLow) * place)
            let width = Int((target * aspect).squareRoot().rounded(.toNearestOrEven))
            let height = Int((target / aspect).squareRoot().rounded(.toNearestOrEven))
            guard width > 0, width <= size.width, height > 0, height <= size.height else {
                continue
            }
            return Box(
                top: key.integer(below: size.height - height + 1, at: 4 * attempt + 2),
                left: key.integer(below: size.width - width + 1, at: 4 * attempt + 3),
                height: height, width: width)
        }
        // Nothing fits in a very long image: the largest central part of allowed proportions.
        let aspect = Double(size.width) / Double(size.height)
        var height = size.height
        var width = size.width
        if aspect < Double(ratio.lowerBound) {
            height = Int((Double(width) / Double(ratio.lowerBound)).rounded(.toNearestOrEven))
        } else if aspect > Double(ratio.upperBound) {
            width = Int((Double(height) * Double(ratio.upperBound)).rounded(.toNearestOrEven))
        }
        height = min(max(height, 1), size.height)
        width = min(max(width, 1), size.width)
        return Box(
            top: (size.height - height) / 2, left: (size.width - width) / 2, height: height,
            width: width)
    }
}
