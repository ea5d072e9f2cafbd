/// How a camera held the sensor, from the EXIF block of a JPEG file: 1...8 as EXIF numbers it.
package enum EXIFOrientation {
    /// The orientation a JPEG file states, or 1 (upright) where it states none that makes sense.
    package static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var position = 2
        // Segments before the picture: 0xFF, marker, two bytes of length that count themselves.
        while position + 4 <= bytes.count, bytes[position] == 0xFF {
            let marker = bytes[position + 1]
            if marker == 0xFF {
                position += 1
                continue
            }
            // Start of scan or end of image: no more metadata that any reader honors.
            if marker == 0xDA || marker == 0xD9 { return 1 }
            let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
            guard length >= 2, position + 2 + length <= bytes.count else { return 1 }
            let payload = bytes[(position + 4)..<(position + 2 + length)]
            if marker == 0xE1, payload.starts(with: [0x45, 0x78, 0x69, 0x66, 0, 0]) {
                return orientation(inTIFF: payload.dropFirst(6))
            }
            position += 2 + length
        }
        return 1
    }

    /// Looks for tag 0x0112 in the first directory of a TIFF block.
    private static func orientation(inTIFF block: Slice<UnsafeBufferPointer<UInt8>>) -> Int {
        let bigEndian: Bool
        if block.starts(with: [0x4D, 0x4D, 0, 42]) {
            bigEndian = true
        } else if block.starts(with: [0x49, 0x49, 42, 0]) {
            bigEndian = false
        } else {
            return 1
        }
        func number(at offset: Int, bytes count: Int) -> Int? {
            guard offset >= 0, offset + count <= block.count else { return nil }
            let part = block[(block.startIndex + offset)..<(block.startIndex + offset + count)]
            return bigEndian
                ? part.reduce(0) { $0 << 8 | Int($1) }
                : part.reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        guard let directory = number(at: 4, bytes: 4),
            let entries = number(at: directory, bytes: 2)
        else { return 1 }
        for entry in 0..<entries {
            let offset = directory + 2 + 12 * entry
            guard let tag = number(at: offset, bytes: 2) else { return 1 }
            guard tag == 0x0112 else { continue }
            // Type 3 is a 16-bit number, kept in the first bytes of the value field.
            guard number(at: offset + 2, bytes: 2) == 3,
                let value = number(at: offset + 8, bytes: 2), (1...8).contains(value)
            else { return 1 }
            return value
        }
        return 1
    }

    /// Whether height and width change places.
    static func transposes(_ orientation: Int) -> Bool { orientation >= 5 }
    /// Whether columns, or rows, of the stored picture are read from the end.
    static func mirrorsColumns(_ orientation: Int) -> Bool { [2, 3, 7, 8].contains(orientation) }
    static func mirrorsRows(_ orientation: Int) -> Bool { [3, 4, 6, 7].contains(orientation) }

    /// The part of the stored picture, which has `size`, that a part of the upright one shows.
    static func stored(_ box: Box, _ orientation: Int, in size: ImageSize) -> Box {
        let part = transposes(orientation) ? transposed(box) : box
        return mirrored(part, orientation, in: size)
    }

    /// The part of the upright picture that a part of the stored one becomes; `size` as above.
    static func upright(_ box: Box, _ orientation: Int, in size: ImageSize) -> Box {
        let part = mirrored(box, orientation, in: size)
        return transposes(orientation) ? transposed(part) : part
    }

    private static func transposed(_ box: Box) -> Box {
        Box(top: box.left, left: box.top, height: box.width, width: box.height)
    }

    private static func mirrored(_ box: Box, _ orientation: Int, in size: ImageSize) -> Box {
        var part = box
        if mirrorsColumns(orientation) { part.left = size.width - box.right }
        if mirrorsRows(orientation) { part.top = size.height - box.bottom }
        return part
    }
}

extension Image {
    /// The image turned upright from EXIF orientation 1...8.
    package func oriented(_ orientation: Int) -> Image {
        guard (2...8).contains(orientation) else { return self }
        // Where the stored picture is read from: mirrored in x, in y, after swapping the axes.
        let transposes = EXIFOrientation.transposes(orientation)
        let mirrorsX = EXIFOrientation.mirrorsColumns(orientation)
        let mirrorsY = EXIFOrientation.mirrorsRows(orientation)
        let newWidth = transposes ? height : width
        let newHeight = transposes ? width : height
        let result = [UInt8](unsafeUninitializedCapacity: pixels.count) { target, filled in
            pixels.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, var to = target.baseAddress else { return }
                for y in 0..<newHeight {
                    for x in 0..<newWidth {
                        var fromX = transposes ? y : x
                        var fromY = transposes ? x : y
                        if mirrorsX { fromX = width - 1 - fromX }
                        if mirrorsY { fromY = height - 1 - fromY }
                        let pixel = from + (fromY * width + fromX) * channels
                        for c in 0..<channels { to[c] = pixel[c] }
                        to += channels
                    }
                }
            }
            filled = pixels.count
        }
        return Image(width: newWidth, height: newHeight, channels: channels, pixels: result)
    }
}
