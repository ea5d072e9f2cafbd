import ApusData

/// A white picture to draw on.
struct Canvas {
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

    /// Fills a disc, whose border pixels take a share of the color; `alpha` in 0...1.
    mutating func disc(x: Double, y: Double, radius: Double, alpha: Double = 1, _ color: [UInt8]) {
        for row in Int(y - radius - 1)...Int(y + radius + 1) {
            for column in Int(x - radius - 1)...Int(x + radius + 1) {
                guard (0..<width).contains(column), (0..<height).contains(row) else { continue }
                let dx = Double(column) + 0.5 - x
                let dy = Double(row) + 0.5 - y
                let distance = (dx * dx + dy * dy).squareRoot()
                let share = alpha * min(max(radius + 0.5 - distance, 0), 1)
                guard share > 0 else { continue }
                for channel in 0..<3 {
                    let place = (row * width + column) * 3 + channel
                    let mixed = Double(pixels[place]) * (1 - share) + Double(color[channel]) * share
                    pixels[place] = UInt8(mixed.rounded())
                }
            }
        }
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
