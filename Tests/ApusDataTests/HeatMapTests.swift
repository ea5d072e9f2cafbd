import ApusData
import Foundation
import Testing

@Suite struct HeatMapTests {
    private func map(_ rows: [[Float]]) -> HeatMap {
        HeatMap(height: rows.count, width: rows[0].count, values: rows.flatMap(\.self))
    }

    @Test func theBoxIsAroundTheLargestRegion() {
        let map = map([
            [9, 0, 0, 0, 0, 0],
            [0, 0, 3, 3, 0, 0],
            [0, 0, 0, 4, 5, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 3],
        ])
        // Above 1.8: one cell of 9, four together, and a diagonal neighbour that does not touch.
        #expect(map.box() == BoundingBox(left: 2, top: 1, width: 3, height: 2))
        #expect(map.box(threshold: 0.5) == BoundingBox(left: 0, top: 0, width: 1, height: 1))
    }

    @Test func nothingPositiveHasNoBox() {
        #expect(map([[0, -1], [-3, 0]]).box() == nil)
        #expect(map([[.nan, .nan]]).box() == nil)
    }

    @Test func everythingAboveTheThresholdIsTheWholeImage() {
        #expect(
            map([[1, 1, 1], [1, 1, 1]]).box()
                == BoundingBox(left: 0, top: 0, width: 3, height: 2))
    }

    @Test func rowsDoNotTouchAcrossTheEdges() {
        // The last cell of a row and the first of the next are not neighbours.
        let map = map([[0, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]])
        #expect(map.box() == BoundingBox(left: 0, top: 1, width: 1, height: 2))
    }

    @Test func enlargingIsLinearBetweenCenters() {
        let large = map([[0, 4]]).resized(to: ImageSize(height: 2, width: 8))
        #expect(large.values == [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4, 0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])
        let same = map([[1, 2], [3, 4]])
        #expect(same.resized(to: ImageSize(2)) == same)
    }

    @Test func boxesAreStoredAsFourNumbers() throws {
        let box = BoundingBox(left: 3, top: 1, width: 20, height: 40)
        let text = String(decoding: try JSONEncoder().encode(box), as: UTF8.self)
        #expect(text == "[3,1,20,40]")
    }
}
