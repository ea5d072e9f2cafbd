import ApusTensor

/// The random changes of one view of an image: what the network shall not care about.
///
/// A view is made in this order: a crop, a mirroring, then `operations` one after the other, all
/// on samples of 0...1, and the normalization last. Every number is drawn from a key that names
/// the seed, the epoch, the sample and the view, so what happens depends on nothing else.
public struct Augmentation: Hashable, Sendable {
    /// The image is framed by this many black pixels, and the crop taken at a random place of
    /// the framed image instead of the center; 0 leaves the center crop.
    public var randomCropPadding: Int
    /// Half of the images are mirrored left to right.
    public var horizontalFlip: Bool
    /// Cuts a random part and resizes it to the size of the input, in place of the resizing and
    /// the crop of the preprocessing.
    public var randomResizedCrop: RandomResizedCrop?
    /// What happens to the pixels afterwards, in order.
    public var operations: [PixelOperation]

    public init(
        randomCropPadding: Int = 0, horizontalFlip: Bool = false,
        randomResizedCrop: RandomResizedCrop? = nil, operations: [PixelOperation] = []
    ) {
        self.randomCropPadding = randomCropPadding
        self.horizontalFlip = horizontalFlip
        self.randomResizedCrop = randomResizedCrop
        self.operations = operations
    }

    /// Crops of the image padded by 4 and mirrored images: the usual choice for CIFAR.
    public static let cropAndFlip = Augmentation(randomCropPadding: 4, horizontalFlip: true)

    /// The key of all random numbers for a view of a sample in an epoch.
    ///
    /// The first view has the key of the sample itself, so that training with one view goes on
    /// where it stood before there were several.
    public static func key(seed: UInt64, epoch: Int, sample: Int, view: Int = 0) -> RandomKey {
        let key = RandomKey(seed: seed).child("augment").child(epoch).child(sample)
        return view == 0 ? key : key.child("view").child(view)
    }

    /// The augmentation for images of 1 or 3 channels.
    ///
    /// A gray image has no hue and no saturation, and is gray already: for one channel only
    /// brightness and contrast are left of the color operations.
    public func adapted(toChannels channels: Int) -> Augmentation {
        guard channels == 1 else { return self }
        var result = self
        result.operations = operations.compactMap { $0.forGray }
        return result
    }

    /// What `adapted(toChannels:)` leaves out, in words for the user; nil if it is nothing.
    public func adaptationNote(channels: Int) -> String? {
        guard adapted(toChannels: channels) != self else { return nil }
        return "images are gray: no hue, saturation or graying; brightness and contrast only"
    }

    /// Throws if a value makes no sense, such as a negative padding.
    public func validate() throws {
        guard (0...4096).contains(randomCropPadding) else {
            throw DataError(
                "augmentation", "randomCropPadding is \(randomCropPadding)",
                remedy: "use 0 to 4096 pixels")
        }
        for operation in operations { try operation.validate() }
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

extension Augmentation: Codable {
    private enum CodingKeys: String, CodingKey {
        case randomCropPadding, horizontalFlip, randomResizedCrop, operations
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        randomCropPadding = try container.decode(Int.self, forKey: .randomCropPadding)
        horizontalFlip = try container.decode(Bool.self, forKey: .horizontalFlip)
        randomResizedCrop = try container.decodeIfPresent(
            RandomResizedCrop.self, forKey: .randomResizedCrop)
        // Recipes written before there were operations have no such field.
        operations =
            try container.decodeIfPresent([PixelOperation].self, forKey: .operations) ?? []
    }
}
