/// What an image looks like in few bits: alike for scaled, recompressed or slightly changed copies.
///
/// The difference hash of 64 bits (Krawetz 2013): the gray image at 9x8 pixels, and one bit for every
/// pixel that is brighter than its right neighbor. The small image itself is kept too, because
/// flat images share few bits by chance.
package struct PerceptualHash: Hashable, Sendable {
    package let bits: UInt64
    /// The image at 9x8 pixels, rows from the top.
    package let thumbnail: [UInt8]

    package init(_ image: Image) {
        let gray = image.converted(toChannels: 1)
        thumbnail = gray.scaled(to: ImageSize(height: 8, width: 9)).pixels
        var bits: UInt64 = 0
        for y in 0..<8 {
            for x in 0..<8 {
                bits = bits << 1 | (thumbnail[9 * y + x] > thumbnail[9 * y + x + 1] ? 1 : 0)
            }
        }
        self.bits = bits
    }

    /// The mean difference of the small images, 0...255.
    package func difference(_ other: PerceptualHash) -> Double {
        let sum = zip(thumbnail, other.thumbnail).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
        return Double(sum) / Double(thumbnail.count)
    }
}
