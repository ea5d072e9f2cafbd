import ApusData
import ApusRuntime

/// Where on an image a network sees a class.
public struct Localization: Sendable {
    public let label: Int
    public let map: HeatMap
    /// What the map covers, in pixels of the image: what lies outside was cut off before the network
    /// saw it.
    public let region: ImageRegion
    /// Around the largest region above a fifth of the map's maximum, in pixels of the image; nil
    /// where nothing speaks for the class.
    public let box: BoundingBox?
}

/// Boxes and heat maps on whole images.
public final class Localizer {
    public let classifier: Classifier
    public let activation: ClassActivation

    /// - Parameter layer: as in `ClassActivation`
    public init(
        _ classifier: Classifier, layer: String? = nil,
        configuration: Session.Configuration = .init()
    ) throws {
        self.classifier = classifier
        let model = classifier.model
        activation = try ClassActivation(
            model.network, parameters: model.parameters, layer: layer,
            configuration: configuration)
    }

    /// Looks for `label`, by default the class the network finds likeliest. `name` is what errors call
    /// the image.
    public func localize(_ image: Image, name: String, label: Int? = nil) throws -> Localization {
        let result = activation.map(try classifier.prepare(image, name: name), label: label)
        let geometry = try classifier.geometry(of: image, name: name)
        let input = ImageSize(height: geometry.window.height, width: geometry.window.width)
        let box = result.map.resized(to: input).box().map { geometry.original($0) }
        return Localization(
            label: result.label, map: result.map, region: geometry.region, box: box)
    }
}

extension ViewGeometry {
    /// The part of the image that the view shows.
    fileprivate var region: ImageRegion {
        ImageRegion(
            left: Double(source.left) + Double(window.left) * across,
            top: Double(source.top) + Double(window.top) * down,
            width: Double(window.width) * across, height: Double(window.height) * down)
    }

    /// Pixels of the image to a pixel of the view.
    private var across: Double { Double(source.width) / Double(resized.width) }
    private var down: Double { Double(source.height) / Double(resized.height) }

    /// The smallest box of whole pixels of the image around a box in the view.
    fileprivate func original(_ box: BoundingBox) -> BoundingBox {
        func edge(_ place: Double, _ rule: FloatingPointRoundingRule, _ size: Int) -> Int {
            // An edge that is whole but for the rounding of the product stays where it is.
            let near = place.rounded()
            let whole = abs(place - near) < 1e-6 ? near : place.rounded(rule)
            return min(max(Int(whole), 0), size)
        }
        let region = region
        let right = source.left + source.width
        let bottom = source.top + source.height
        let x = edge(region.left + Double(box.left) * across, .down, right)
        let y = edge(region.top + Double(box.top) * down, .down, bottom)
        return BoundingBox(
            left: x, top: y,
            width: edge(region.left + Double(box.left + box.width) * across, .up, right) - x,
            height: edge(region.top + Double(box.top + box.height) * down, .up, bottom) - y)
    }
}
