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
        return image.onCanvas(
            width: image.width + 2 * margin, height: image.height + 2 * margin, x: margin + right,
            y: margin + down)
    }
}

extension Image {
    /// The picture on a black one, with its upper left corner at `x` and `y`.
    func onCanvas(width: Int, height: Int, x: Int, y: Int) -> Image {
        var canvas = [UInt8](repeating: 0, count: width * height * channels)
        let row = self.width * channels
        for line in 0..<self.height {
            let start = ((y + line) * width + x) * channels
            canvas.replaceSubrange(
                start..<start + row, with: pixels[line * row..<(line + 1) * row])
        }
        return Image(width: width, height: height, channels: channels, pixels: canvas)
    }
}
