import ApusData
import ApusTensor

/// Makes any image the input of a network.
///
/// Images of the size the network was trained on are prepared as in training. Others, which its
/// preprocessing alone would leave at their own size, are resized to cover the input and cut around
/// the center.
public struct ImagePreparation: Sendable {
    private let preprocessing: Preprocessing
    private let output: ImageSize

    /// - Parameter input: what the network takes: [channels, height, width]
    public init(_ preprocessing: Preprocessing, input: Shape) {
        self.preprocessing = preprocessing
        output = ImageSize(height: input[1], width: input[2])
    }

    /// The number of floats an image becomes.
    public var count: Int { preprocessing.channels * output.height * output.width }

    /// Writes `image` to `target`; `name` is what errors call it.
    public func write(
        _ image: Image, name: String, to target: UnsafeMutablePointer<Float>,
        scratch: TransformScratch
    ) throws {
        try ImageTransform(preprocessing: preprocessing(for: image), output: output)
            .write(image, name: name, key: nil, to: target, scratch: scratch)
    }

    /// Which part of an image becomes the input, and how.
    func geometry(of image: Image, name: String) throws -> ViewGeometry {
        try ViewGeometry(
            of: image.size, preprocessing: preprocessing(for: image), output: output, name: name)
    }

    private func preprocessing(for image: Image) -> Preprocessing {
        var preprocessing = preprocessing
        let size = image.size
        let resized = preprocessing.resize.size(of: size)
        if ImageTransform.outputSize(of: size, preprocessing) != output
            || resized.height < output.height || resized.width < output.width
        {
            preprocessing.resize = .shortSide(max(output.height, output.width))
            preprocessing.crop = output
        }
        return preprocessing
    }
}
