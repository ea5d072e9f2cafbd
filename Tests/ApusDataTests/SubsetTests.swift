import ApusData
import Testing

@Suite struct SubsetTests {
    private struct Numbers: ImageSource {
        let count: Int
        let classNames = ["even", "odd"]
        let imageShape: ImageShape? = nil
        let otherFiles = ["notes.txt"]
        func label(at index: Int) -> Int { index % 2 }
        func name(of index: Int) -> String { "number \(index)" }
        func stableName(of index: Int) -> String { "\(index)" }
        func image(at index: Int) throws -> Image {
            Image(width: 1, height: 1, channels: 1, pixels: [UInt8(index)])
        }
    }

    @Test func imagesKeepWhatTheyAre() throws {
        let some = SubsetSource(Numbers(count: 10), indices: [7, 0, 3])
        #expect(try (0..<some.count).map { try some.image(at: $0).pixels } == [[7], [0], [3]])
        #expect((0..<3).map(some.label(at:)) == [1, 0, 1])
        #expect(some.name(of: 0) == "number 7" && some.stableName(of: 2) == "3")
        #expect(some.otherFiles == ["notes.txt"])
    }

    @Test func firstOrEvenlySpaced() {
        let ten = Numbers(count: 10)
        #expect(SubsetSource(ten, first: 3).indices == [0, 1, 2])
        #expect(SubsetSource(ten, first: 30).count == 10)
        #expect(SubsetSource(ten, count: 4).indices == [0, 2, 5, 7])
        #expect(SubsetSource(ten, count: 30).indices == Array(0..<10))
    }
}
