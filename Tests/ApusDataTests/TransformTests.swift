import ApusData
import ApusTensor
import Foundation
import Testing

@Suite struct TransformTests {
    // MARK: Against torchvision

    private struct Brief: Decodable {
        let shape: [Int]
        let l2: Double
        let sum: Double
        let first: [Double]
    }

    private struct ResizedCrop: Decodable {
        let box: [Int]
        let side: Int
        let out: Brief

        enum CodingKeys: String, CodingKey {
            case box = "top_left_height_width"
            case side
            case out
        }
    }

    private struct Fixture: Decodable {
        struct Cases: Decodable {
            let bilinear: ResizedCrop
            let bicubic: ResizedCrop

            enum CodingKeys: String, CodingKey {
                case bilinear = "resized_crop_bilinear_antialias"
                case bicubic = "resized_crop_bicubic_antialias"
            }
        }
        let image: [Int]
        let cases: Cases
    }

    private func fixture() throws -> (Fixture, [Float]) {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/transforms.json")
        let fixture = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
        let key = RandomKey(
            state: RandomKey.hash("image-\(fixture.image[1])x\(fixture.image[2])"))
        return (fixture, (0..<fixture.image.reduce(1, *)).map { key.uniform(at: $0) })
    }

    private func expect(_ values: [Float], matches brief: Brief) {
        #expect(values.count == brief.shape.reduce(1, *))
        for (value, wanted) in zip(values, brief.first) {
            #expect(abs(Double(value) - wanted) < 1e-4)
        }
        let sum = values.reduce(0.0) { $0 + Double($1) }
        let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(abs(sum / brief.sum - 1) < 1e-4)
        #expect(abs(norm / brief.l2 - 1) < 1e-4)
    }

    @Test(arguments: [Interpolation.bilinear, .bicubic])
    func resizingAgreesWithTorchvision(interpolation: Interpolation) throws {
        let (fixture, image) = try fixture()
        let reference = interpolation == .bilinear ? fixture.cases.bilinear : fixture.cases.bicubic
        let box = Box(
            top: reference.box[0], left: reference.box[1], height: reference.box[2],
            width: reference.box[3])
        let resampler = Resampler(
            from: ImageSize(height: box.height, width: box.width),
            to: ImageSize(reference.side), interpolation)
        var result: [Float] = []
        var scratch = [Float](repeating: 0, count: resampler.scratchCount)
        for c in 0..<3 {
            var plane: [Float] = []
            for y in box.top..<(box.top + box.height) {
                let row = (c * fixture.image[1] + y) * fixture.image[2] + box.left
                plane += image[row..<(row + box.width)]
            }
            var resized = [Float](repeating: 0, count: reference.side * reference.side)
            resampler.resize(plane, into: &resized, scratch: &scratch)
            result += resized
        }
        expect(result, matches: reference.out)
    }

    // MARK: Images to floats

    private func apply(
        _ image: Image, _ preprocessing: Preprocessing, _ augmentation: Augmentation? = nil,
        key: RandomKey? = nil, output: ImageSize? = nil
    ) throws -> [Float] {
        let size = ImageSize(height: image.height, width: image.width)
        let transform = try ImageTransform(
            preprocessing: preprocessing, augmentation: augmentation,
            output: output ?? ImageTransform.outputSize(of: size, preprocessing))
        var result = [Float](repeating: .nan, count: transform.count)
        try transform.write(
            image, name: "picture", key: key, to: &result, scratch: TransformScratch())
        return result
    }

    private func plain(_ channels: Int) -> Preprocessing {
        Preprocessing(
            channels: channels, mean: .init(repeating: 0, count: channels),
            deviation: .init(repeating: 1, count: channels))
    }

    @Test func normalizesPlanes() throws {
        let image = noise("planes", width: 5, height: 4, channels: 3)
        let result = try apply(image, .cifar)
        for c in 0..<3 {
            for i in 0..<20 {
                let sample = Float(image.pixels[3 * i + c]) / 255
                let wanted =
                    (sample - Preprocessing.cifar.mean[c]) / Preprocessing.cifar.deviation[c]
                #expect(abs(result[c * 20 + i] - wanted) < 1e-5)
            }
        }
        let gray = try apply(image, plain(1))
        let luma = image.converted(toChannels: 1).pixels
        #expect(zip(gray, luma).allSatisfy { abs($0 - Float($1) / 255) < 1e-6 })
    }

    @Test func cropsTheCenterAsTorchvision() throws {
        let image = noise("center", width: 9, height: 6, channels: 1)
        var preprocessing = plain(1)
        preprocessing.crop = ImageSize(height: 3, width: 4)
        let result = try apply(image, preprocessing)
        // Halves are rounded to even: (6 - 3) / 2 = 1.5 -> 2 and (9 - 4) / 2 = 2.5 -> 2.
        #expect(abs(result[0] - Float(image.pixels[2 * 9 + 2]) / 255) < 1e-6)
    }

    @Test func resizesTheShortSide() throws {
        #expect(
            Resize.shortSide(256).size(of: ImageSize(height: 375, width: 500))
                == ImageSize(height: 256, width: 341))
        #expect(
            Resize.shortSide(256).size(of: ImageSize(height: 500, width: 375))
                == ImageSize(height: 341, width: 256))
        let white = Image(
            width: 50, height: 30, channels: 3, pixels: .init(repeating: 255, count: 4500))
        var preprocessing = plain(3)
        preprocessing.resize = .shortSide(12)
        preprocessing.interpolation = .bicubic
        let result = try apply(white, preprocessing)
        #expect(result.count == 3 * 12 * 20)
        #expect(result.allSatisfy { abs($0 - 1) < 1e-5 })
    }

    @Test func augmentationIsAFunctionOfItsKey() throws {
        let image = noise("augment", width: 32, height: 32, channels: 3)
        func view(_ epoch: Int, _ sample: Int) throws -> [Float] {
            let key = Augmentation.key(seed: 5, epoch: epoch, sample: sample)
            return try apply(image, .cifar, .cropAndFlip, key: key)
        }
        #expect(try view(0, 3) == view(0, 3))
        #expect(try view(0, 3) != view(1, 3))
        #expect(try view(0, 3) != view(0, 4))
    }

    /// Every offset and both mirrors occur, and each pixel is where a plain program puts it.
    @Test(arguments: [1, 3]) func cropsAndFlipsExactly(channels: Int) throws {
        let image = noise("exact", width: 6, height: 5, channels: channels)
        let augmentation = Augmentation(randomCropPadding: 2, horizontalFlip: true)
        let size = ImageSize(height: 5, width: 6)
        var seen: Set<ViewGeometry> = []
        for sample in 0..<1000 {
            let key = Augmentation.key(seed: 1, epoch: 0, sample: sample)
            let view = try ViewGeometry(
                of: size, preprocessing: plain(channels), augmentation: augmentation, key: key,
                output: size, name: "picture")
            guard seen.insert(view).inserted else { continue }
            let result = try apply(image, plain(channels), augmentation, key: key)
            var wanted: [Float] = []
            for c in 0..<channels {
                for y in 0..<5 {
                    for x in 0..<6 {
                        let fromY = view.window.top + y
                        let fromX = view.window.left + (view.flips ? 5 - x : x)
                        let isInside = (0..<5).contains(fromY) && (0..<6).contains(fromX)
                        let place = (fromY * 6 + fromX) * channels + c
                        wanted.append(isInside ? Float(image.pixels[place]) / 255 : 0)
                    }
                }
            }
            #expect(zip(result, wanted).allSatisfy { abs($0 - $1) < 1e-6 })
        }
        #expect(seen.count == 5 * 5 * 2)
        #expect(Set(seen.map(\.window.top)) == Set(-2...2))
    }

    @Test func resizedPathFlipsAndPadsToo() throws {
        let image = gradient(width: 20, height: 10)
        var preprocessing = plain(3)
        preprocessing.resize = .exact(ImageSize(8))
        let augmentation = Augmentation(randomCropPadding: 3, horizontalFlip: true)
        let base = try apply(image, preprocessing)
        for sample in 0..<50 {
            let key = Augmentation.key(seed: 2, epoch: 0, sample: sample)
            let view = try ViewGeometry(
                of: ImageSize(height: 10, width: 20), preprocessing: preprocessing,
                augmentation: augmentation, key: key, output: ImageSize(8), name: "picture")
            let result = try apply(image, preprocessing, augmentation, key: key)
            for i in 0..<result.count {
                let (c, y, x) = (i / 64, i / 8 % 8, i % 8)
                let fromY = view.window.top + y
                let fromX = view.window.left + (view.flips ? 7 - x : x)
                let isInside = (0..<8).contains(fromY) && (0..<8).contains(fromX)
                let wanted = isInside ? base[c * 64 + fromY * 8 + fromX] : 0
                guard abs(result[i] - wanted) < 1e-6 else {
                    Issue.record("sample \(sample), element \(i): \(result[i]), not \(wanted)")
                    return
                }
            }
        }
    }

    @Test func randomResizedCropStaysInside() throws {
        let part = RandomResizedCrop()
        for (width, height) in [(50, 40), (400, 3), (1, 1), (3, 500)] {
            for sample in 0..<200 {
                let box = part.box(
                    in: ImageSize(height: height, width: width),
                    key: RandomKey(seed: 9)
                        .child(sample))
                #expect(box.height > 0 && box.width > 0 && box.top >= 0 && box.left >= 0)
                #expect(box.top + box.height <= height && box.left + box.width <= width)
            }
        }
        var preprocessing = plain(3)
        preprocessing.crop = ImageSize(8)
        let image = gradient(width: 30, height: 20)
        let augmentation = Augmentation(horizontalFlip: true, randomResizedCrop: part)
        let views = try Set(
            (0..<20).map { sample in
                try apply(
                    image, preprocessing, augmentation,
                    key: Augmentation.key(seed: 0, epoch: 0, sample: sample))
            })
        #expect(views.count == 20)
    }

    @Test func imagesThatDoNotFit() throws {
        let tiny = Image(width: 1, height: 1, channels: 1, pixels: [3])
        var preprocessing = plain(1)
        preprocessing.crop = ImageSize(8)
        let small = dataError(naming: "picture") { _ = try apply(tiny, preprocessing) }
        #expect(small.contains("1x1") && small.contains("8x8") && small.contains("resize"))
        let other = dataError(naming: "picture") {
            _ = try apply(
                noise("other", width: 9, height: 9, channels: 1), plain(1), output: ImageSize(8))
        }
        #expect(other.contains("9x9"))
        var stretched = plain(1)
        stretched.resize = .shortSide(60000)
        stretched.crop = ImageSize(8)
        let strip = dataError(naming: "picture") {
            _ = try apply(
                Image(
                    width: 5000, height: 1, channels: 1, pixels: .init(repeating: 0, count: 5000)),
                stretched)
        }
        #expect(strip.contains("60000x300000000"))
    }

    @Test func descriptionsAreCheckedAndStored() throws {
        var preprocessing = Preprocessing.imageNet()
        let augmentation = Augmentation(randomResizedCrop: RandomResizedCrop())
        let encoder = JSONEncoder()
        let decoder = JSONDecoder()
        #expect(
            try decoder.decode(Preprocessing.self, from: encoder.encode(preprocessing))
                == preprocessing)
        #expect(
            try decoder.decode(Augmentation.self, from: encoder.encode(augmentation))
                == augmentation)
        for resize in [Resize.none, .shortSide(3), .exact(ImageSize(height: 2, width: 5))] {
            #expect(try decoder.decode([Resize].self, from: encoder.encode([resize])) == [resize])
        }
        preprocessing.deviation[1] = 0
        let message = dataError(naming: "preprocessing") { try preprocessing.validate() }
        #expect(message.contains("positive"))
        var both = augmentation
        both.randomCropPadding = 4
        _ = dataError(naming: "augmentation") { try both.validate() }
    }
}
