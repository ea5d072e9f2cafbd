import ApusData

/// Images in a grid, each with a frame and a few words below.
public struct ContactSheet: Sendable {
    /// What the color of a frame says.
    public enum Frame: Hashable, Sendable {
        /// Green.
        case right
        /// Red.
        case wrong
        /// Gray: nobody knows.
        case unknown

        fileprivate var color: [UInt8] {
            switch self {
            case .right: [46, 160, 67]
            case .wrong: [214, 48, 49]
            case .unknown: [150, 150, 150]
            }
        }
    }

    public struct Tile: Sendable {
        public var image: Image
        public var frame: Frame
        /// Lines of ASCII; what does not fit below the image is cut.
        public var caption: [String]

        public init(image: Image, frame: Frame, caption: [String]) {
            self.image = image
            self.frame = frame
            self.caption = caption
        }
    }

    /// The most pixels an image gets in height and width.
    private static let tileSide = 168
    private static let frameWidth = 4
    private static let margin = 10
    private static let textScale = 2

    private let tiles: [Tile]
    private let columns: Int

    /// Lays tiles out in rows of `columns`; by default about as many as there are rows.
    public init(_ tiles: [Tile], columns: Int? = nil) {
        self.tiles = tiles
        let usual = Int((Double(tiles.count) * 4 / 3).squareRoot().rounded(.up))
        self.columns = max(1, min(columns ?? usual, max(1, tiles.count)))
    }

    /// Draws the sheet in color.
    public func image() -> Image {
        let cell = Self.tileSide + 2 * Self.frameWidth
        let text = (tiles.map(\.caption.count).max() ?? 0) * BitmapFont.lineHeight * Self.textScale
        let rows = max(1, (tiles.count + columns - 1) / columns)
        var canvas = Canvas(
            width: columns * (cell + Self.margin) + Self.margin,
            height: rows * (cell + text + Self.margin) + Self.margin)
        for (index, tile) in tiles.enumerated() {
            let left = Self.margin + index % columns * (cell + Self.margin)
            let top = Self.margin + index / columns * (cell + text + Self.margin)
            draw(tile, left: left, top: top, cell: cell, on: &canvas)
        }
        return canvas.image
    }

    private func draw(_ tile: Tile, left: Int, top: Int, cell: Int, on canvas: inout Canvas) {
        let color = tile.frame.color
        canvas.fill(left: left, top: top, width: cell, height: cell, color)
        let inner = Self.tileSide
        canvas.fill(
            left: left + Self.frameWidth, top: top + Self.frameWidth, width: inner, height: inner,
            [255, 255, 255])
        let picture = tile.image.converted(toChannels: 3)
        let longest = max(picture.width, picture.height)
        // Whole factors keep the pixels of small images square.
        let factor = longest <= inner ? Double(inner / longest) : Double(inner) / Double(longest)
        let width = max(1, min(inner, Int(Double(picture.width) * factor)))
        let height = max(1, min(inner, Int(Double(picture.height) * factor)))
        canvas.draw(
            picture, left: left + Self.frameWidth + (inner - width) / 2,
            top: top + Self.frameWidth + (inner - height) / 2, width: width, height: height)
        for (line, words) in tile.caption.enumerated() {
            let letters = cell / (BitmapFont.advance * Self.textScale)
            canvas.write(
                String(words.prefix(letters)), left: left,
                top: top + cell + 4 + line * BitmapFont.lineHeight * Self.textScale,
                scale: Self.textScale, line == 0 ? color.map { $0 / 2 } : [60, 60, 60])
        }
    }
}

/// A white picture to draw on.
private struct Canvas {
    let width: Int
    let height: Int
    private var pixels: [UInt8]

    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        pixels = [UInt8](repeating: 255, count: width * height * 3)
    }

    var image: Image { Image(width: width, height: height, channels: 3, pixels: pixels) }

    private mutating func set(_ x: Int, _ y: Int, _ color: some Collection<UInt8>) {
        guard (0..<width).contains(x), (0..<height).contains(y) else { return }
        for (channel, value) in color.enumerated() { pixels[(y * width + x) * 3 + channel] = value }
    }

    mutating func fill(left: Int, top: Int, width: Int, height: Int, _ color: [UInt8]) {
        for y in top..<top + height {
            for x in left..<left + width { set(x, y, color) }
        }
    }

    /// Takes the nearest pixel of `picture` for each of its place.
    mutating func draw(_ picture: Image, left: Int, top: Int, width: Int, height: Int) {
        for y in 0..<height {
            let row = y * picture.height / height * picture.width
            for x in 0..<width {
                let from = (row + x * picture.width / width) * 3
                set(left + x, top + y, picture.pixels[from..<from + 3])
            }
        }
    }

    mutating func write(_ text: String, left: Int, top: Int, scale: Int, _ color: [UInt8]) {
        for (place, character) in text.enumerated() {
            for (column, bits) in BitmapFont.columns(character).enumerated() {
                for row in 0..<8 where bits & 1 << row != 0 {
                    fill(
                        left: left + (place * BitmapFont.advance + column) * scale,
                        top: top + row * scale, width: scale, height: scale, color)
                }
            }
        }
    }
}
