/// Images of one shape in one buffer, as the file formats for small images hold them.
struct PackedImages: Sendable {
    let shape: ImageShape
    /// Pixels of all images, rows from the top, channels interleaved, starting at `offset`.
    let bytes: [UInt8]
    let offset: Int
    let labels: [UInt8]

    func image(at index: Int) -> Image {
        let size = shape.channels * shape.height * shape.width
        let start = offset + index * size
        return Image(
            width: shape.width, height: shape.height, channels: shape.channels,
            pixels: Array(bytes[start..<(start + size)]))
    }

    /// Checks that every label names a class.
    static func check(labels: [UInt8], classes: Int, name: (Int) -> String) throws {
        guard let index = labels.firstIndex(where: { Int($0) >= classes }) else { return }
        throw DataError(
            name(index), "has label \(labels[index]), but there are \(classes) classes",
            remedy: "download the file again or check that it belongs to this data set")
    }
}
