import ApusData
import ApusTensor
import Foundation
import Testing

/// Pixel steps with known numbers, against torchvision's results.
@Suite struct PixelWorkTests {
    private struct Brief: Decodable {
        let shape: [Int]
        let l2: Double
        let sum: Double
        let first: [Double]
    }

    private struct Fixture: Decodable {
        struct Cases: Decodable {
            let brightness, contrast, saturation, hue, hueBack, grayscale, solarize, blur: Brief

            enum CodingKeys: String, CodingKey {
                case brightness = "brightness_1.3"
                case contrast = "contrast_0.6"
                case saturation = "saturation_1.5"
                case hue = "hue_0.15"
                case hueBack = "hue_-0.2"
                case grayscale
                case solarize = "solarize_0.5"
                case blur = "gaussian_blur_k9_sigma1.2"
            }
        }
        let cases: Cases
    }

    private let size = ImageSize(height: 48, width: 64)

    private func image(channels: Int = 3) -> [Float] {
        let key = RandomKey(state: RandomKey.hash("image-48x64"))
        return (0..<(channels * 48 * 64)).map { key.uniform(at: $0) }
    }

    private func run(
        _ steps: [PixelStep], on image: [Float], size: ImageSize? = nil, scale: [Float]? = nil,
        bias: [Float]? = nil
    ) -> [Float] {
        let size = size ?? self.size
        var planes = image
        let channels = planes.count / (size.height * size.width)
        planes.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            PixelWork(
                planes: base, channels: channels, size: size,
                mean: .init(repeating: 0.25, count: channels), scratch: TransformScratch()
            ).run(
                steps, scale: scale ?? .init(repeating: 1, count: channels),
                bias: bias ?? .init(repeating: 0, count: channels))
        }
        return planes
    }

    @Test func stepsAgreeWithTorchvision() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/transforms.json")
        let cases = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url)).cases
        let all: [(PixelStep, Brief)] = [
            (.brightness(1.3), cases.brightness), (.contrast(0.6), cases.contrast),
            (.saturation(1.5), cases.saturation), (.hue(0.15), cases.hue),
            (.hue(-0.2), cases.hueBack), (.grayscale, cases.grayscale),
            (.solarize(0.5), cases.solarize), (.blur(sigma: 1.2, radius: 4), cases.blur),
        ]
        for (step, brief) in all {
            let values = run([step], on: image())
            for (value, wanted) in zip(values, brief.first) {
                #expect(abs(Double(value) - wanted) < 1e-5, "\(step)")
            }
            let sum = values.reduce(0.0) { $0 + Double($1) }
            let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            #expect(abs(sum / brief.sum - 1) < 1e-5, "\(step)")
            #expect(abs(norm / brief.l2 - 1) < 1e-5, "\(step)")
        }
    }

    /// Steps done together, in one pass, are the steps done one after the other.
    @Test func passesDoNotChangeTheResult() {
        let steps: [PixelStep] = [
            .hue(0.1), .brightness(1.4), .contrast(0.5), .saturation(0.3), .solarize(0.6),
            .blur(sigma: 0.7, radius: 2), .grayscale,
        ]
        var apart = image()
        for step in steps { apart = run([step], on: apart) }
        let together = run(steps, on: image())
        for (a, b) in zip(together, apart) { #expect(abs(a - b) < 1e-6) }
        let normalized = run(steps, on: image(), scale: [2, 3, 4], bias: [1, 0, -1])
        for c in 0..<3 {
            let index = c * 3072 + 777
            #expect(
                abs(normalized[index] - (together[index] * Float(c + 2) + Float(1 - c))) < 1e-5)
        }
    }

    @Test func normalizationFollowsABlurThatIsLast() {
        let blur = PixelStep.blur(sigma: 1.9, radius: 11)
        let plain = run([blur], on: image())
        let normalized = run([blur], on: image(), scale: [2, 2, 2], bias: [1, 1, 1])
        for (a, b) in zip(normalized, plain) { #expect(abs(a - (2 * b + 1)) < 1e-5) }
    }

    /// What is left of a kernel without its smallest weights is the kernel.
    @Test(arguments: [Float(0.1), 0.5, 2, 50]) func kernelsAreNormalized(sigma: Float) {
        let image = image()
        let values = run([.blur(sigma: sigma, radius: 11)], on: image)
        var weights = (-11...11).map { exp(-0.5 * Double($0 * $0) / Double(sigma * sigma)) }
        let total = weights.reduce(0, +)
        weights = weights.map { $0 / total }
        func reflect(_ i: Int, _ n: Int) -> Int { i < 0 ? -i : (i >= n ? 2 * (n - 1) - i : i) }
        for (y, x) in [(0, 0), (47, 63), (5, 60), (30, 20)] {
            var sum = 0.0
            for (j, a) in weights.enumerated() {
                for (i, b) in weights.enumerated() {
                    let row = reflect(y + j - 11, 48)
                    sum += a * b * Double(image[row * 64 + reflect(x + i - 11, 64)])
                }
            }
            #expect(abs(Double(values[y * 64 + x]) - sum) < 2e-6)
        }
    }

    @Test func quarterTurnsOnlyRearrange() {
        let square = Array(image().prefix(3 * 32 * 32))
        let turned = run([.quarterTurns(1)], on: square, size: ImageSize(32))
        for (y, x) in [(0, 0), (3, 17), (31, 5)] {
            // Counter-clockwise: the top row was the last column.
            #expect(turned[y * 32 + x] == square[x * 32 + (31 - y)])
        }
        let back = run([.quarterTurns(3)], on: turned, size: ImageSize(32))
        #expect(back == square)
        #expect(
            run([.quarterTurns(2), .quarterTurns(2)], on: square, size: ImageSize(32)) == square)
    }

    @Test func rotationsByRightAnglesAgree() {
        let square = Array(image().prefix(31 * 31))
        let exact = run([.quarterTurns(1)], on: square, size: ImageSize(31))
        let general = run([.rotation(.pi / 2)], on: square, size: ImageSize(31))
        for y in 1..<30 {
            for x in 1..<30 { #expect(abs(exact[y * 31 + x] - general[y * 31 + x]) < 1e-4) }
        }
        // The corners of a square turned by 45 degrees are black.
        let tilted = run([.rotation(.pi / 4)], on: square, size: ImageSize(31))
        #expect(tilted[0] == 0 && tilted[30] == 0 && tilted[15 * 31 + 15] == square[15 * 31 + 15])
    }

    @Test func cutoutsTakeTheMean() {
        let values = run(
            [.cutout(Box(top: 40, left: 60, height: 8, width: 4))], on: image(),
            scale: [2, 2, 2], bias: [-0.5, -0.5, -0.5])
        #expect(values[40 * 64 + 60] == 0 && values[2 * 3072 + 47 * 64 + 63] == 0)
        #expect(values.count(where: { $0 == 0 }) <= 3 * 32 + 3)
    }

    @Test func sobelFindsEdges() {
        var step = [Float](repeating: 0, count: 8 * 8)
        for y in 0..<8 { for x in 4..<8 { step[y * 8 + x] = 1 } }
        let edges = run([.sobel], on: step, size: ImageSize(8))
        #expect(edges[3 * 8 + 3] == 1 && edges[3 * 8 + 4] == 1)
        #expect(edges[3 * 8 + 1] == 0 && edges[3 * 8 + 7] == 0)
    }

    @Test func noiseIsNormal() {
        let gray = [Float](repeating: 0.5, count: 256 * 256)
        let key = RandomKey(seed: 3)
        let noisy = run([.noise(deviation: 0.1, key: key)], on: gray, size: ImageSize(256))
        let standard = noisy.map { Double($0 - 0.5) / 0.1 }
        let count = Double(standard.count)
        let mean = standard.reduce(0, +) / count
        let variance = standard.reduce(0) { $0 + $1 * $1 } / count
        let fourth = standard.reduce(0) { $0 + $1 * $1 * $1 * $1 } / count
        #expect(abs(mean) < 0.02 && abs(variance - 1) < 0.02 && abs(fourth - 3) < 0.1)
        let inside = standard.count { abs($0) < 1 }
        #expect(abs(Double(inside) / count - 0.6827) < 0.01)
        let other = run(
            [.noise(deviation: 0.1, key: RandomKey(seed: 4))], on: gray, size: ImageSize(256))
        #expect(other != noisy)
    }
}
