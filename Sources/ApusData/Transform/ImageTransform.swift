import ApusTensor
import CKernels

/// Writes images as network input: preprocessing, and augmentation where a key is given.
public struct ImageTransform: Sendable {
    public let preprocessing: Preprocessing
    /// The augmentation, adapted to the number of channels.
    public let augmentation: Augmentation?
    /// The height and width of every result.
    public let output: ImageSize

    /// From samples of 0...255 to 0...1, where operations follow.
    private let unitScales: [Float]
    private let unitBiases: [Float]
    /// From 0...1 to network input, and from 0...255.
    private let scales: [Float]
    private let biases: [Float]
    private let byteScales: [Float]

    /// Checks both descriptions. `output` is the size of the results, which `outputSize(...)`
    /// gives for the first image of a set.
    public init(
        preprocessing: Preprocessing, augmentation: Augmentation? = nil, output: ImageSize
    ) throws {
        try preprocessing.validate()
        try augmentation?.validate()
        self.preprocessing = preprocessing
        self.augmentation = augmentation?.adapted(toChannels: preprocessing.channels)
        self.output = output
        scales = preprocessing.deviation.map { 1 / $0 }
        byteScales = preprocessing.deviation.map { 1 / (255 * $0) }
        biases = zip(preprocessing.mean, preprocessing.deviation).map { -$0 / $1 }
        unitScales = scales.map { _ in 1 / 255 }
        unitBiases = scales.map { _ in 0 }
    }

    /// The size that images of size `size` have after preprocessing.
    public static func outputSize(of size: ImageSize, _ preprocessing: Preprocessing) -> ImageSize {
        preprocessing.crop ?? preprocessing.resize.size(of: size)
    }

    /// The number of floats an image becomes.
    public var count: Int { preprocessing.channels * output.height * output.width }

    /// Writes an image as `channels` planes of `output` size to `target`.
    ///
    /// - Parameters:
    ///   - key: the source of the augmentation's random numbers; nil for the plain image.
    ///   - name: what errors call the image.
    ///   - scratch: working memory that is kept from image to image, one for every thread.
    public func write(
        _ image: Image, name: String, key: RandomKey?, to target: UnsafeMutablePointer<Float>,
        scratch: TransformScratch
    ) throws {
        let size = image.size
        var geometry = try geometry(of: size, key: key, name: name)
        var picture = image.converted(toChannels: preprocessing.channels)
        if roundsToBytes(key) {
            picture = picture.resizedInBytes(to: geometry.resized, .bicubicBytes)
            geometry.source = Box(top: 0, left: 0, height: picture.height, width: picture.width)
        }
        picture.withRegion { region in
            write(region, geometry, key: key, to: target, scratch: scratch)
        }
    }

    /// Whether a view is cut from the whole picture after resizing it to bytes.
    func roundsToBytes(_ key: RandomKey?) -> Bool {
        preprocessing.interpolation == .bicubicBytes && key == nil
    }

    /// What is seen of an image of size `size`.
    func geometry(of size: ImageSize, key: RandomKey?, name: String) throws -> ViewGeometry {
        try ViewGeometry(
            of: size, preprocessing: preprocessing, augmentation: augmentation, key: key,
            output: output, name: name)
    }

    /// Writes a view from a region that holds at least what `geometry` looks at, and has the
    /// channels of the preprocessing.
    func write(
        _ region: PixelRegion, _ geometry: ViewGeometry, key: RandomKey?,
        to target: UnsafeMutablePointer<Float>, scratch: TransformScratch
    ) {
        let operations = key == nil ? [] : augmentation?.operations ?? []
        let isPlain = operations.isEmpty
        geometry.write(
            region, interpolation: preprocessing.interpolation,
            scales: isPlain ? byteScales : unitScales, biases: isPlain ? biases : unitBiases,
            to: target, scratch: scratch)
        scratch.clock?.mark(.resize)
        guard let key, !isPlain else { return }
        scratch.steps.removeAll(keepingCapacity: true)
        for (index, operation) in operations.enumerated() {
            operation.draw(
                key.child(operation.name).child(index), size: output,
                channels: preprocessing.channels, into: &scratch.steps)
        }
        let work = PixelWork(
            planes: target, channels: preprocessing.channels, size: output,
            mean: preprocessing.mean, scratch: scratch)
        work.run(scratch.steps, scale: scales, bias: biases)
    }
}
