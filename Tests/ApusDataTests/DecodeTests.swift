import ApusData
import Foundation
import Testing

@Suite struct DecodeTests {
    let decoder = ImageDecoder()

    @Test(arguments: [1, 3]) func pngKeepsEveryByte(channels: Int) throws {
        let image = noise("png", width: 13, height: 7, channels: channels)
        let file = try ImageEncoder.encodePNG(image)
        #expect(try decoder.decode(file, name: "a.png") == image)
    }

    @Test func jpegIsClose() throws {
        let image = gradient(width: 40, height: 24)
        let file = try ImageEncoder.encodeJPEG(image, quality: 95)
        #expect(try largestDifference(decoder.decode(file, name: "a.jpg"), image) <= 6)
        let gray = image.converted(toChannels: 1)
        let grayFile = try ImageEncoder.encodeJPEG(gray, quality: 95)
        #expect(try largestDifference(decoder.decode(grayFile, name: "a.jpg"), gray) <= 6)
    }

    @Test func grayIsTheLumaOfPIL() {
        let image = Image(
            width: 4, height: 1, channels: 3,
            pixels: [255, 0, 0, 0, 255, 0, 0, 0, 255, 200, 100, 50])
        #expect(image.converted(toChannels: 1).pixels == [76, 150, 29, 124])
        #expect(
            image.converted(toChannels: 1).converted(toChannels: 3).pixels.prefix(3)
                == [76, 76, 76])
    }

    @Test func palettes() throws {
        let file = rawPNG(
            width: 4, height: 2, depth: 2, colorType: 3, rows: [[0b00_01_10_11], [0b11_10_01_00]],
            palette: [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7])
        let image = try decoder.decode(file, name: "palette.png")
        let row: [UInt8] = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7]
        #expect(image.channels == 3)
        #expect(Array(image.pixels.prefix(12)) == row)
        #expect(Array(image.pixels.suffix(3)) == [255, 0, 0])
    }

    @Test func transparencyIsLaidOverWhite() throws {
        let rgba = rawPNG(
            width: 3, height: 1, depth: 8, colorType: 6,
            rows: [[10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 255, 128]])
        let image = try decoder.decode(rgba, name: "rgba.png")
        #expect(image.pixels == [10, 20, 30, 255, 255, 255, 127, 177, 255])
        let grayAlpha = rawPNG(
            width: 2, height: 1, depth: 8, colorType: 4, rows: [[10, 255, 10, 0]])
        let gray = try decoder.decode(grayAlpha, name: "la.png")
        #expect(gray.channels == 1)
        #expect(gray.pixels == [10, 255])
        let palette = rawPNG(
            width: 2, height: 1, depth: 8, colorType: 3, rows: [[0, 1]],
            palette: [1, 2, 3, 4, 5, 6], transparency: [255, 0])
        #expect(try decoder.decode(palette, name: "p.png").pixels == [1, 2, 3, 255, 255, 255])
    }

    @Test func sixteenBitsAreRoundedToEight() throws {
        let gray = rawPNG(
            width: 3, height: 1, depth: 16, colorType: 0,
            rows: [[0x80, 0x80, 0xFF, 0xFF, 0x01, 0x01]])
        #expect(try decoder.decode(gray, name: "16.png").pixels == [128, 255, 1])
        let color = rawPNG(
            width: 1, height: 1, depth: 16, colorType: 2, rows: [[0x0A, 0x0A, 0, 0, 0x64, 0x64]])
        #expect(try decoder.decode(color, name: "48.png").pixels == [10, 0, 100])
        let oneBit = rawPNG(width: 8, height: 1, depth: 1, colorType: 0, rows: [[0b1010_0001]])
        #expect(
            try decoder.decode(oneBit, name: "1.png").pixels == [255, 0, 255, 0, 0, 0, 0, 255])
    }

    @Test func fourInksBecomeColor() throws {
        // Stored inverted as Adobe does: no cyan, full magenta, no yellow, half black.
        let samples = [[UInt8]](repeating: [255, 0, 255, 128], count: 64).flatMap { $0 }
        let image = try decoder.decode(
            cmykJPEG(width: 8, height: 8, samples: samples), name: "cmyk.jpg")
        #expect(image.channels == 3)
        for (sample, wanted) in zip(image.pixels.prefix(3), [128, 0, 128]) {
            #expect(abs(Int(sample) - wanted) <= 2)
        }
    }

    @Test(arguments: 1...8, [false, true])
    func cameraOrientation(orientation: Int, bigEndian: Bool) throws {
        let upright = gradient(width: 24, height: 16)
        // What the camera stores is the inverse of what the reader has to do: 6 and 8 swap.
        let inverse = [1, 2, 3, 4, 5, 8, 7, 6][orientation - 1]
        let stored = try reference(upright, inverse)
        let jpeg = try ImageEncoder.encodeJPEG(stored, quality: 95)
        let file = withOrientation(orientation, bigEndian: bigEndian, jpeg)
        #expect(try largestDifference(decoder.decode(file, name: "o.jpg"), upright) <= 8)
    }

    /// The eight orientations composed of a mirror and quarter turns, unlike the decoder does it.
    private func reference(_ image: Image, _ orientation: Int) throws -> Image {
        func mirror(_ image: Image) -> Image {
            var pixels: [UInt8] = []
            for y in 0..<image.height {
                for x in (0..<image.width).reversed() {
                    let start = (y * image.width + x) * 3
                    pixels += image.pixels[start..<(start + 3)]
                }
            }
            return Image(width: image.width, height: image.height, channels: 3, pixels: pixels)
        }
        func turnRight(_ image: Image) -> Image {
            var pixels: [UInt8] = []
            for x in 0..<image.width {
                for y in (0..<image.height).reversed() {
                    let start = (y * image.width + x) * 3
                    pixels += image.pixels[start..<(start + 3)]
                }
            }
            return Image(width: image.height, height: image.width, channels: 3, pixels: pixels)
        }
        switch orientation {
        case 2: return mirror(image)
        case 3: return turnRight(turnRight(image))
        case 4: return mirror(turnRight(turnRight(image)))
        case 5: return mirror(turnRight(image))
        case 6: return turnRight(image)
        case 7: return turnRight(mirror(image))
        case 8: return turnRight(turnRight(turnRight(image)))
        default: return image
        }
    }

    @Test func truncatedFilesAreErrors() throws {
        let image = noise("cut", width: 64, height: 64, channels: 3)
        let jpeg = try ImageEncoder.encodeJPEG(image)
        let png = try ImageEncoder.encodePNG(image)
        for part in [0.01, 0.3, 0.6, 0.95] {
            for (file, name) in [(jpeg, "cut.jpg"), (png, "cut.png")] {
                let count = max(12, Int(Double(file.count) * part))
                let message = dataError(naming: name) {
                    _ = try decoder.decode(Array(file[..<count]), name: name)
                }
                #expect(message.contains("damaged"))
            }
        }
        let message = dataError(naming: "cut.jpg") {
            _ = try decoder.decode(Array(jpeg[..<(jpeg.count - 300)]), name: "cut.jpg")
        }
        #expect(message.contains("remature end"))
    }

    @Test func otherFilesAreErrors() {
        let text = dataError(naming: "notes.png") {
            _ = try decoder.decode(Array("hello\nworld, this is".utf8), name: "notes.png")
        }
        #expect(text.contains("not a JPEG, PNG or WebP image"))
        #expect(text.contains("hello world"))
        let empty = dataError(naming: "a.jpg") { _ = try decoder.decode([], name: "a.jpg") }
        #expect(empty.contains("empty"))
        let bytes = dataError(naming: "a.jpg") {
            _ = try decoder.decode([0, 1, 0xAB, 255, 3], name: "a.jpg")
        }
        #expect(bytes.contains("00 01 AB FF"))
        let missing = dataError(naming: "/nowhere/a.jpg") {
            _ = try decoder.decode(contentsOf: "/nowhere/a.jpg")
        }
        #expect(missing.contains("no such file"))
    }

    @Test func webPWhereItsLibraryIs() throws {
        // Four by three pixels, without loss; the last column is a fifth opaque.
        let file: [UInt8] = [
            82, 73, 70, 70, 70, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 76, 57, 0, 0, 0, 47, 3, 128,
            0, 16, 95, 64, 144, 109, 83, 172, 1, 29, 246, 136, 2, 129, 36, 176, 241, 7, 27, 100,
            130, 108, 155, 66, 205, 159, 224, 78, 15, 254, 16, 65, 28, 82, 24, 108, 198, 128, 32,
            128, 132, 37, 131, 164, 54, 88, 98, 150, 133, 35, 250, 31, 246, 35, 0,
        ]
        guard dlopen("libwebp.so.7", RTLD_NOW) != nil else {
            let missing = dataError(naming: "a.webp") {
                _ = try ImageDecoder().decode(file, name: "a.webp")
            }
            #expect(missing.contains("libwebp"))
            return
        }
        let image = try ImageDecoder().decode(file, name: "a.webp")
        #expect(image.width == 4 && image.height == 3 && image.channels == 3)
        #expect(Array(image.pixels[15..<18]) == [60, 100, 200])
        #expect(Array(image.pixels[33..<36]) == [240, 244, 244])
        for count in [12, 20, file.count - 5] {
            let message = dataError(naming: "a.webp") {
                _ = try ImageDecoder().decode(Array(file[..<count]), name: "a.webp")
            }
            #expect(message.contains("damaged"))
        }
        _ = dataError(naming: "--max-pixels") {
            _ = try ImageDecoder(maximumPixels: 11).decode(file, name: "a.webp")
        }
    }

    @Test func tooManyPixelsAreAnError() throws {
        let image = gradient(width: 50, height: 40)
        let small = ImageDecoder(maximumPixels: 1999)
        for file in [try ImageEncoder.encodePNG(image), try ImageEncoder.encodeJPEG(image)] {
            let message = dataError(naming: "big") { _ = try small.decode(file, name: "big") }
            #expect(message.contains("1999"))
            #expect(throws: Never.self) {
                try ImageDecoder(maximumPixels: 2000).decode(file, name: "big")
            }
        }
        // A header that claims 60000 x 60000 pixels, with nothing behind it.
        let bomb = rawPNG(width: 60000, height: 60000, depth: 8, colorType: 2, rows: [[0]])
        let message = dataError(naming: "bomb.png") {
            _ = try decoder.decode(bomb, name: "bomb.png")
        }
        #expect(message.contains("100000000"))
    }
}
