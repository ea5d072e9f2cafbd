import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// A folder that is gone after the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appending(path: "apus-training-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func run(_ name: String) -> RunFolder { RunFolder("\(path)/\(name)") }
}

/// Gray pictures in memory: noise with a bright square in the corner that the label names.
struct Squares: ImageSource {
    let count: Int
    var classNames = ["first", "second", "third"]
    var side = 12
    /// Distinguishes one set from another.
    var name = "train"

    var imageShape: ImageShape? { ImageShape(channels: 1, height: side, width: side) }
    func name(of index: Int) -> String { "\(name) \(index)" }
    func label(at index: Int) -> Int { index % classNames.count }

    func image(at index: Int) -> Image {
        let key = RandomKey(seed: 3).child(name).child(index)
        let label = label(at: index)
        var pixels = (0..<side * side).map { UInt8(key.integer(below: 160, at: $0)) }
        let top = label / 2 * (side / 2) + 1
        let left = label % 2 * (side / 2) + 1
        for row in top..<top + 4 {
            for column in left..<left + 4 { pixels[row * side + column] |= 0x80 }
        }
        return Image(width: side, height: side, channels: 1, pixels: pixels)
    }
}

/// A network with everything whose state must survive a restart: statistics and random masks.
func tinyNetwork(_ name: String = "tiny", channels: Int = 8, classes: Int = 3) -> Network {
    Network(name, input: [1, 12, 12]) {
        Convolution("conv", channels, kernel: 3)
        BatchNorm("norm")
        Activation(.relu)
        MaxPool(kernel: 2)
        Residual("block") {
            Convolution("conv", channels, kernel: 3)
            BatchNorm("norm")
        }
        Activation(.relu)
        Flatten()
        Dropout(0.2)
        Dense("dense", classes)
    }
}

/// Three epochs of six steps with all that has state. On one thread: several wait for each other,
/// which is slow while other tests run.
func tinyRecipe(_ network: Network = tinyNetwork()) -> Recipe {
    var recipe = Recipe(
        network: network, data: "squares", classNames: ["first", "second", "third"],
        preprocessing: Preprocessing(channels: 1, mean: [0.4], deviation: [0.2]),
        augmentation: Augmentation(randomCropPadding: 1), threads: 1)
    recipe.epochs = 3
    recipe.batch = 32
    recipe.optimizer = .defaultAdamW
    recipe.learningRate = 0.005
    recipe.warmupEpochs = 0.5
    recipe.weightDecay = 0.01
    recipe.labelSmoothing = 0.1
    recipe.clip = 5
    recipe.ema = 0.9
    recipe.seed = 4
    return recipe
}

extension Session.Configuration {
    /// Convolutions without timings, which could choose otherwise in the next run.
    static var direct: Session.Configuration {
        var configuration = Session.Configuration()
        configuration.tunes = false
        return configuration
    }
}

/// The error that `body` throws, as the line that a user reads.
func message(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) -> String {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
        return ""
    } catch {
        let text = "\(error)"
        #expect(!text.contains("\n"), sourceLocation: sourceLocation)
        return text
    }
}

/// A file of `Tests/Fixtures`.
func fixture(_ name: String) throws -> Data {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
    return try Data(contentsOf: folder.appending(path: "Fixtures/\(name)"))
}
