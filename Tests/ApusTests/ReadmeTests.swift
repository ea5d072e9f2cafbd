import Apus
import Foundation
import Testing

/// What the README shows, on the umbrella module alone.
@Suite struct ReadmeTests {
    private let network = Network("tiny", input: [1, 28, 28]) {
        Convolution("conv1", 16, kernel: 3)
        BatchNorm("bn1")
        Activation(.relu)
        for stage in 0..<3 {
            Residual("block\(stage)") {
                Convolution("conv1", 16, kernel: 3)
                BatchNorm("bn1")
                Activation(.relu)
                Convolution("conv2", 16, kernel: 3)
                BatchNorm("bn2", scale: .constant(0))
            }
            Activation(.relu)
            MaxPool(kernel: 2)
        }
        GlobalAveragePool()
        Flatten()
        Dense("head", 10)
    }

    @Test func theSampleLearns() throws {
        let statistics = Statistics(try network.graph(batch: 1, mode: .inference))
        // By hand: 28, 14 and 7 pixels a side.
        let blocks = [28, 14, 7].map { 2 * $0 * $0 * 16 * 16 * 9 }.reduce(0, +)
        #expect(statistics.multiplyAdds == 28 * 28 * 16 * 9 + blocks + 160)

        let weights = ParameterStore(try network.graph(batch: 32, mode: .training), seed: 1)
        var configuration = Session.Configuration()
        configuration.threads = 1
        let session = try Session.training(
            network, batch: 32, parameters: weights, configuration: configuration)
        let optimizer = Optimizer(.defaultSGD, weightDecay: 5e-4, for: weights)
        var options = LoaderOptions(batchSize: 32)
        options.endEpoch = 2
        let loader = try Loader(
            source: Stripes(count: 640), preprocessing: .fashionMNIST,
            augmentation: .cropAndFlip, options: options)
        var losses: [Float] = []
        while let batch = try loader.next() {
            let result = try session.step(
                images: batch.images, labels: batch.labels, optimizer: optimizer, rate: 0.1)
            losses.append(result.loss)
        }
        #expect(losses.count == 40)
        let first = losses.prefix(5).reduce(0, +)
        let last = losses.suffix(5).reduce(0, +)
        #expect(last < first / 2, "\(losses)")
    }
}

/// Horizontal stripes whose distance is their class.
private struct Stripes: ImageSource {
    let count: Int
    let classNames = (0..<10).map { "every \($0 + 2) rows" }
    let imageShape: ImageShape? = ImageShape(channels: 1, height: 28, width: 28)

    func label(at index: Int) -> Int { index % 10 }
    func name(of index: Int) -> String { "stripes \(index)" }

    func image(at index: Int) throws -> Image {
        let key = RandomKey(seed: 7).child(index)
        let shift = key.integer(below: 12, at: 0)
        let pixels = (0..<784).map { i -> UInt8 in
            let isBright = (i / 28 + shift) % (label(at: index) + 2) == 0
            return UInt8(key.integer(below: 60, at: i + 1) + (isBright ? 190 : 0))
        }
        return Image(width: 28, height: 28, channels: 1, pixels: pixels)
    }
}
