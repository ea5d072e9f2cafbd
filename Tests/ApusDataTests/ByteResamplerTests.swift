import ApusData
import Testing

/// The expected samples are PIL's (12.0, `Image.resize(size, Image.BICUBIC)`).
@Suite struct ByteResamplerTests {
    /// Sample i is (31 i^2 + 17 i) mod 251.
    private func picture(_ width: Int, _ height: Int) -> Image {
        let pixels = (0..<width * height * 3).map { (i: Int) -> UInt8 in
            UInt8((i * i * 31 + i * 17) % 251)
        }
        return Image(width: width, height: height, channels: 3, pixels: pixels)
    }

    private func resized(_ image: Image, _ width: Int, _ height: Int) -> [UInt8] {
        image.resizedInBytes(to: ImageSize(height: height, width: width), .bicubicBytes).pixels
    }

    @Test func shrinkingGivesTheBytesOfPIL() {
        #expect(
            resized(picture(7, 5), 4, 3) == [
                113, 90, 142, 172, 131, 144, 151, 116, 141, 124, 167, 181, 144, 118, 62, 153, 186,
                91, 151, 84, 122, 134, 101, 200, 106, 94, 90, 130, 187, 99, 141, 135, 134, 166, 82,
                191,
            ])
        // Only the rows change.
        #expect(
            resized(picture(64, 3), 5, 3) == [
                146, 131, 145, 138, 120, 116, 148, 133, 133, 130, 141, 112, 88, 134, 147, 146, 136,
                86, 112, 141, 134, 133, 130, 147, 117, 122, 138, 140, 127, 150, 146, 137, 96, 129,
                121, 124, 139, 100, 128, 143, 149, 124, 118, 135, 130,
            ])
    }

    @Test func enlargingClipsWhereTheCubicOvershoots() {
        let result = resized(picture(5, 4), 8, 7)
        #expect(
            result.prefix(24) == [
                0, 37, 158, 15, 38, 133, 88, 53, 99, 185, 125, 94, 207, 97, 129, 154, 0, 183, 144,
                103, 91, 145, 204, 14,
            ])
        #expect(result.suffix(12) == [190, 100, 94, 212, 84, 19, 97, 94, 153, 8, 105, 255])
    }

    @Test func aPhotographsSizeGivesTheSameHash() {
        let bytes = resized(picture(451, 300), 384, 256)
        #expect(bytes.count == 384 * 256 * 3)
        let hash = bytes.reduce(1_469_598_103_934_665_603 as UInt64) {
            ($0 ^ UInt64($1)) &* 1_099_511_628_211
        }
        #expect(hash == 0xFF1F_8F91_B6E9_88CC)
    }

    /// The whole preparation: resize to bytes, crop, normalize.
    @Test func theTransformCropsTheResizedBytes() throws {
        let preprocessing = Preprocessing(
            channels: 3, resize: .shortSide(6), interpolation: .bicubicBytes, crop: ImageSize(4),
            mean: [127.0 / 255, 127.0 / 255, 127.0 / 255],
            deviation: [128.0 / 255, 128.0 / 255, 128.0 / 255])
        let image = picture(20, 13)
        let transform = try ImageTransform(preprocessing: preprocessing, output: ImageSize(4))
        var values = [Float](repeating: 0, count: transform.count)
        try values.withUnsafeMutableBufferPointer { buffer in
            let base = try #require(buffer.baseAddress)
            try transform.write(
                image, name: "image", key: nil, to: base, scratch: TransformScratch())
        }
        // 13 to 6 rows, 20 to 9 columns; one row and, rounded to even, two columns before the crop.
        let resized = resized(image, 9, 6)
        for c in 0..<3 {
            for y in 0..<4 {
                for x in 0..<4 {
                    let sample = Float(resized[((y + 1) * 9 + x + 2) * 3 + c])
                    #expect(abs(values[(c * 4 + y) * 4 + x] - (sample - 127) / 128) < 1e-5)
                }
            }
        }
    }
}
