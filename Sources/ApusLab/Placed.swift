import ApusData

/// Images on a larger black canvas, moved from its middle.
struct Placed: ImageSource {
    let source: any ImageSource
    /// Pixels added on every side.
    let margin: Int
    /// Pixels to the right and down, at most the margin.
    var right = 0
    var down = 0

    var count: Int { source.count }
    var classNames: [String] { source.classNames }
    var imageShape: ImageShape? {
        source.imageShape.map {
            ImageShape(
                channels: $0.channels, height: $0.height + 2 * margin, width: $0.width + 2 * margin)
        }
    }
    func label(at index: Int) -> Int { source.label(at: index) }
    func name(of index: Int) -> String { source.name(of: index) }

    func image(at index: Int) throws -> Image {
        let image = try source.image(at: index)
        let width = image.width + 2 * margin
        let height = image.height + 2 * margin
        var pixels = [UInt8](repeating: 0, count: width * height * image.channels)
        let row = image.width * image.channels
        for y in 0..<image.height {
            let start = ((y + margin + down) * width + margin + right) * image.channels
            pixels.replaceSubrange(
                start..<start + row, with: image.pixels[y * row..<(y + 1) * row])
        }
        return Image(width: width, height: height, channels: image.channels, pixels: pixels)
    }
}
