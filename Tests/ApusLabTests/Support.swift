import ApusData
import ApusTensor
import Foundation

import ApusLab

/// A folder that is gone after the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appending(path: "apus-lab-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Gray pictures in memory: noise with a bright square in the corner that the label names.
struct Corners: ImageSource {
    let count: Int
    let split: String
    var side = 12

    var classNames: [String] { ["first", "second", "third"] }
    var imageShape: ImageShape? { ImageShape(channels: 1, height: side, width: side) }
    func name(of index: Int) -> String { "\(split) \(index)" }
    func label(at index: Int) -> Int { index % classNames.count }

    func image(at index: Int) -> Image {
        let key = RandomKey(seed: 3).child(split).child(index)
        var pixels = (0..<side * side).map { UInt8(key.integer(below: 100, at: $0)) }
        let label = label(at: index)
        for row in 0..<side / 2 {
            for column in 0..<side / 2 {
                let place = (row + label / 2 * side / 2) * side + column + label % 2 * side / 2
                pixels[place] |= 0x80
            }
        }
        return Image(width: side, height: side, channels: 1, pixels: pixels)
    }

    static func data() throws -> LabData {
        try LabData(
            "corners", train: Corners(count: 192, split: "train"),
            test: Corners(count: 96, split: "test"))
    }
}

/// The least: one seed, no time, one thread.
func smallestOptions(_ folder: TemporaryFolder) -> LabOptions {
    var options = LabOptions()
    options.minutes = 0.001
    options.seeds = 1
    options.threads = 1
    options.out = folder.path
    return options
}
