import ApusData
import Foundation

/// Small pictures in rows, each with a few words: filters, feature maps, mistakes.
public struct ImageSheet: Hashable, Codable, Sendable {
    public struct Tile: Hashable, Codable, Sendable {
        /// A PNG file.
        public var png: Data
        /// Shown below the picture, and its text alternative.
        public var caption: String

        /// Throws where the picture cannot be encoded.
        public init(_ image: Image, _ caption: String) throws {
            png = Data(try ImageEncoder.encodePNG(image))
            self.caption = caption
        }
    }

    public var title: String
    public var tiles: [Tile]
    /// The width of a tile in CSS pixels.
    public var side: Int

    public init(_ title: String, _ tiles: [Tile], side: Int = 96) {
        self.title = title
        self.tiles = tiles
        self.side = side
    }

    var markup: Markup {
        .element(
            "div",
            [
                "class": "sheet",
                "style": "grid-template-columns:repeat(auto-fill,minmax(\(side)px,1fr))",
            ],
            tiles.map { tile in
                .element(
                    "div", [:],
                    [
                        .element(
                            "img",
                            [
                                "src": "data:image/png;base64," + tile.png.base64EncodedString(),
                                "alt": tile.caption, "width": "\(side)",
                            ]),
                        .element("p", text: tile.caption),
                    ])
            })
    }
}

extension Image {
    /// A plane of numbers as gray: the least is black, the largest white; with `symmetric`, zero is
    /// middle gray and both sides reach equally far.
    public static func gray(
        _ values: [Float], width: Int, height: Int, symmetric: Bool = false
    ) -> Image {
        var low = values.min() ?? 0
        var high = values.max() ?? 1
        if symmetric {
            high = max(abs(low), abs(high))
            low = -high
        }
        let span = high > low ? high - low : 1
        return Image(
            width: width, height: height, channels: 1,
            pixels: values.map { value in
                value.isFinite ? UInt8(min(max((value - low) / span, 0), 1) * 255) : 0
            })
    }
}
