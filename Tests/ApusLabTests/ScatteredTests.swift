import ApusData
import Testing

import ApusLab

@Suite("Scattered images")
struct ScatteredTests {
    /// White squares.
    private struct Squares: ImageSource {
        let count = 200
        let classNames = ["square"]
        var imageShape: ImageShape? { ImageShape(channels: 1, height: 20, width: 20) }
        func name(of index: Int) -> String { "\(index)" }
        func label(at index: Int) -> Int { 0 }
        func image(at index: Int) -> Image {
            Image(width: 20, height: 20, channels: 1, pixels: .init(repeating: 255, count: 400))
        }
    }

    private struct Square: Hashable {
        var left: Int
        var top: Int
        var side: Int
    }

    @Test("Every image is whole, somewhere, at 0.6 to 1 of its size, and always at the same place")
    func squares() throws {
        let scattered = Scattered(Squares(), margin: 2)
        #expect(scattered.imageShape == ImageShape(channels: 1, height: 24, width: 24))
        var seen: Set<Square> = []
        for index in 0..<scattered.count {
            let image = try scattered.image(at: index)
            let white = image.pixels.indices.filter { image.pixels[$0] == 255 }
            let first = try #require(white.first)
            let side = white.filter { $0 / 24 == first / 24 }.count
            let square = Square(left: first % 24, top: first / 24, side: side)
            let inside = white.filter {
                (square.left..<square.left + side).contains($0 % 24)
                    && (square.top..<square.top + side).contains($0 / 24)
            }
            #expect(inside.count == side * side && white.count == side * side)
            #expect(image.pixels.allSatisfy { $0 == 0 || $0 == 255 })
            #expect(try scattered.image(at: index).pixels == image.pixels)
            seen.insert(square)
        }
        #expect(Set(seen.map(\.side)).isSuperset(of: 12...19) && seen.allSatisfy { $0.side <= 20 })
        #expect(seen.map(\.left).min() == 0 && seen.map(\.top).min() == 0)
        #expect(seen.map { $0.left + $0.side }.max() == 24)
        #expect(seen.map { $0.top + $0.side }.max() == 24)
    }
}
