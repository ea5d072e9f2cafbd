import ApusData
import ApusTensor

/// Images on a larger black canvas as photographs have things: each somewhere, of its own size up to that
/// of the image. What an image gets depends on its index alone.
package struct Scattered: ImageSource {
    let source: any ImageSource
    /// Pixels the canvas is larger by on every side.
    let margin: Int
    /// The smallest share of its sides that an image keeps.
    static let smallest: Float = 0.6

    package init(_ source: any ImageSource, margin: Int) {
        self.source = source
        self.margin = margin
    }

    package var count: Int { source.count }
    package var classNames: [String] { source.classNames }
    package var imageShape: ImageShape? { Placed(source: source, margin: margin).imageShape }
    package func label(at index: Int) -> Int { source.label(at: index) }
    package func name(of index: Int) -> String { source.name(of: index) }

    package func image(at index: Int) throws -> Image {
        let original = try source.image(at: index)
        let key = RandomKey(seed: 0).child("scattered").child(index)
        let share = key.uniform(in: Scattered.smallest...1, at: 0)
        let thing = original.resizedInBytes(
            to: ImageSize(
                height: max(1, Int(Float(original.height) * share)),
                width: max(1, Int(Float(original.width) * share))), .bilinear)
        let width = original.width + 2 * margin
        let height = original.height + 2 * margin
        return thing.onCanvas(
            width: width, height: height,
            x: key.integer(below: width - thing.width + 1, at: 1),
            y: key.integer(below: height - thing.height + 1, at: 2))
    }
}
