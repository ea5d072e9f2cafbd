import ApusData
import ApusReport
import Testing

@Suite struct HeatMapPictureTests {
    private let gray = Image(
        width: 300, height: 200, channels: 1, pixels: [UInt8](repeating: 100, count: 60_000))

    @Test func colorsFollowTheMapInsideItsRegion() {
        let map = HeatMap(height: 1, width: 2, values: [0, 4])
        let region = ImageRegion(left: 100, top: 0, width: 100, height: 200)
        let picture = HeatMapPicture(gray, map: map, region: region, box: nil).picture()
        func color(_ x: Int, _ y: Int) -> [UInt8] {
            Array(picture.pixels[(y * 300 + x) * 3..<(y * 300 + x) * 3 + 3])
        }
        #expect((picture.width, picture.height) == (300, 200))
        // Half 100, half dark blue, dark red, gray.
        #expect(color(100, 50) == [50, 50, 113])
        #expect(color(199, 50) == [113, 50, 50])
        #expect(color(50, 50) == [113, 113, 113] && color(299, 199) == [113, 113, 113])
    }

    @Test func theBoxIsDrawnInside() {
        let map = HeatMap(height: 1, width: 1, values: [1])
        let region = ImageRegion(left: 0, top: 0, width: 300, height: 200)
        let box = BoundingBox(left: 0, top: 150, width: 300, height: 50)
        let plain = HeatMapPicture(gray, map: map, region: region, box: nil).picture()
        let framed = HeatMapPicture(gray, map: map, region: region, box: box).picture()
        let changed = (0..<60_000).filter {
            plain.pixels[3 * $0..<3 * $0 + 3] != framed.pixels[3 * $0..<3 * $0 + 3]
        }
        #expect(changed.first == 150 * 300 && changed.last == 59_999)
        #expect(changed.count == 2 * 2 * 300 + 2 * 2 * 46)
    }

    @Test func smallImagesAreEnlargedWithTheirBoxes() {
        let small = Image(
            width: 10, height: 4, channels: 3, pixels: [UInt8](repeating: 0, count: 120))
        let map = HeatMap(height: 1, width: 1, values: [0])
        let region = ImageRegion(left: 0, top: 0, width: 10, height: 4)
        let box = BoundingBox(left: 9, top: 3, width: 1, height: 1)
        let picture = HeatMapPicture(small, map: map, region: region, box: box).picture()
        #expect((picture.width, picture.height) == (250, 100))
        #expect(picture.pixels[(76 * 250 + 226) * 3] == 255)
    }

    @Test func mapsThatAreNotNumbersAreGray() {
        let region = ImageRegion(left: 0, top: 0, width: 300, height: 200)
        for value in [Float.nan, .infinity, -.infinity] {
            let map = HeatMap(height: 1, width: 1, values: [value])
            let picture = HeatMapPicture(gray, map: map, region: region, box: map.box()).picture()
            #expect(picture.pixels.count == 180_000)
        }
    }
}
