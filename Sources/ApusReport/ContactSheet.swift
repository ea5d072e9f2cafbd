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
        /// Blue: what was asked about.
        case query

        fileprivate var color: [UInt8] {
            switch self {
            case .right: [46, 160, 67]
            case .wrong: [214, 48, 49]
            case .unknown: [150, 150, 150]
            case .query: [31, 111, 235]
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
