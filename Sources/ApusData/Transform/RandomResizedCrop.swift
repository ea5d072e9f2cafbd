import ApusTensor
import Foundation

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
