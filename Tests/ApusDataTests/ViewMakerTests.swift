import ApusData
import ApusTensor
import CTurboJPEG
import Foundation
import Testing

/// Views of pictures that are decoded only in part, against views of the whole.
@Suite struct ViewMakerTests {
    /// Something between noise and a gradient, as photographs are.
    private func photograph(width: Int, height: Int) -> Image {
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                let (a, b) = (Double(x) / 40, Double(y) / 40)
                for c in 0..<3 {
                    let wave = sin(a * Double(c + 1) + sin(b * 2)) * cos(b - Double(c))
                    let texture = sin(a * 30) * sin(b * 27) * 0.1
                    pixels.append(UInt8(min(max(128 + 110 * wave + 120 * texture, 0), 255)))
                }
            }
        }
        return Image(width: width, height: height, channels: 3, pixels: pixels)
    }

    private func jpeg(_ image: Image, _ sampling: TJSAMP, progressive: Bool = false) throws
        -> [UInt8]
    {
        let handle = try #require(tjInitCompress())
        defer { tjDestroy(handle) }
        var memory: UnsafeMutablePointer<UInt8>?
        var count: UInt = 0
        defer { tjFree(memory) }
        let status = tjCompress2(
            handle, image.pixels, Int32(image.width), 0, Int32(image.height),
            Int32(TJPF_RGB.rawValue), &memory, &count, Int32(sampling.rawValue), 92,
            progressive ? TJFLAG_PROGRESSIVE : 0)
        #expect(status == 0)
        return Array(UnsafeBufferPointer(start: try #require(memory), count: Int(count)))
    }

    private func maker(_ augmentations: [Augmentation?], channels: Int = 3, side: Int) throws
        -> ViewMaker
    {
        let preprocessing = Preprocessing(
            channels: channels, resize: .shortSide(side + side / 8), crop: ImageSize(side),
            mean: .init(repeating: 0, count: channels),
            deviation: .init(repeating: 1, count: channels))
        return ViewMaker(
            try augmentations.map {
                try ImageTransform(
                    preprocessing: preprocessing, augmentation: $0, output: ImageSize(side))
            })
    }

    private func views(_ maker: ViewMaker, _ stored: StoredImage, sample: Int) throws -> [Float] {
        let count = maker.views[0].count
        var result = [Float](repeating: .nan, count: count * maker.views.count)
        try result.withUnsafeMutableBufferPointer { buffer in
            let base = try #require(buffer.baseAddress)
            try maker.make(stored, name: "picture") { view in
                maker.views[view].augmentation == nil
                    ? nil : Augmentation.key(seed: 1, epoch: 0, sample: sample, view: view)
            } to: {
                base + $0 * count
            }
        }
        return result
    }

    @Test(arguments: [TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411, TJSAMP_GRAY])
    func partsAreThoseOfTheWhole(sampling: TJSAMP) throws {
        let cut = Augmentation(horizontalFlip: true, randomResizedCrop: RandomResizedCrop())
        for (progressive, width, height) in [(false, 203, 150), (true, 97, 131)] {
            let file = try jpeg(
                photograph(width: width, height: height), sampling, progressive: progressive)
            let whole = StoredImage.decoded(try ImageDecoder().decode(file, name: "picture"))
            // Large enough that nothing is decoded at a fraction of its size.
            for (augmentations, channels) in [
                ([cut], 3), ([cut, cut], 3), ([nil], 3), ([cut, nil], 1),
            ] {
                let maker = try maker(augmentations, channels: channels, side: 112)
                for sample in 0..<12 {
                    let part = try views(maker, .encoded(file), sample: sample)
                    let all = try views(maker, whole, sample: sample)
                    let difference = zip(part, all).map { abs($0 - $1) }.max() ?? 1
                    #expect(difference < 1e-6, "\(sampling) \(channels) sample \(sample)")
                }
            }
        }
    }

    @Test(arguments: 1...8) func partsOfTurnedPictures(orientation: Int) throws {
        let cut = Augmentation(randomResizedCrop: RandomResizedCrop(scale: 0.1...0.5))
        let upright = withOrientation(
            orientation, bigEndian: true,
            try jpeg(photograph(width: 150, height: 201), TJSAMP_420))
        let whole = StoredImage.decoded(try ImageDecoder().decode(upright, name: "picture"))
        for side in [100, 12] {
            let maker = try maker([cut], side: side)
            for sample in 0..<10 {
                let part = try views(maker, .encoded(upright), sample: sample)
                let all = try views(maker, whole, sample: sample)
                let difference = zip(part, all).map { abs($0 - $1) }.reduce(0, +)
                // At 12 pixels the picture is decoded at a fraction of its size; were it shifted
                // by a pixel of that, the difference would be 0.03.
                #expect(difference / Float(all.count) < (side == 100 ? 1e-6 : 0.01))
            }
        }
    }

    /// Decoding at a fraction of the size averages in the frequency domain instead of the picture.
    /// Random crops of photographs of 500x375 pixels at quality 92 to 96 differ from those of the
    /// whole by 0.0015 (to 80 pixels) to 0.005 (to 10 pixels) rms and 0.09 at most, in units where
    /// white is 1.
    @Test(arguments: [TJSAMP_444, TJSAMP_420]) func fractionsAreClose(sampling: TJSAMP) throws {
        let cut = Augmentation(
            randomResizedCrop: RandomResizedCrop(scale: 0.3...1, ratio: 0.9...1.1))
        let file = try jpeg(photograph(width: 403, height: 301), sampling)
        let whole = StoredImage.decoded(try ImageDecoder().decode(file, name: "picture"))
        for side in [20, 40, 80] {
            let maker = try maker([cut, cut], side: side)
            for sample in 0..<10 {
                let part = try views(maker, .encoded(file), sample: sample)
                let all = try views(maker, whole, sample: sample)
                let differences = zip(part, all).map { abs($0 - $1) }
                #expect(differences.reduce(0, +) / Float(all.count) < 0.006)
                #expect(differences.max() ?? 1 < 0.08)
            }
        }
        // What nobody augments is measured on, and not approximated.
        let plain = try maker([nil], side: 20)
        let part = try views(plain, .encoded(file), sample: 0)
        let all = try views(plain, whole, sample: 0)
        #expect(zip(part, all).allSatisfy { abs($0 - $1) < 1e-6 })
    }

    @Test func filesCutShortAreErrorsWhateverIsSeen() throws {
        let cut = Augmentation(
            randomResizedCrop: RandomResizedCrop(scale: 0.01...0.05))
        let file = try jpeg(photograph(width: 203, height: 150), TJSAMP_420)
        let maker = try maker([cut], side: 8)
        for count in [file.count / 3, file.count * 9 / 10, file.count - 2] {
            for sample in 0..<5 {
                let message = dataError(naming: "picture") {
                    _ = try views(maker, .encoded(Array(file[..<count])), sample: sample)
                }
                #expect(message.contains("damaged"))
            }
        }
        // A decoder that has failed works on.
        _ = try views(maker, .encoded(file), sample: 0)
    }

    @Test func filesThatTakeTooLongAreErrors() throws {
        let file = try jpeg(photograph(width: 64, height: 48), TJSAMP_420, progressive: true)
        let scans = dataError(naming: "slow.jpg") {
            _ = try ImageDecoder(maximumScans: 3).decode(file, name: "slow.jpg")
        }
        #expect(scans.contains("3 scans") && scans.contains("--max-scans"))
        let folder = try TemporaryFolder()
        let path = try folder.write(file, to: "big.jpg")
        let bytes = dataError(naming: "big.jpg") {
            _ = try ImageDecoder(maximumBytes: 100).decode(contentsOf: path)
        }
        #expect(bytes.contains("\(file.count) bytes") && bytes.contains("--max-bytes"))
    }

    @Test(arguments: ["png", "jpg", "webp"]) func secondsAreLimited(kind: String) throws {
        let image = noise("slow", width: 600, height: 600, channels: 3)
        let file =
            switch kind {
            case "png": try ImageEncoder.encodePNG(image)
            case "jpg": try jpeg(image, TJSAMP_444, progressive: true)
            default: losslessWebP(image)
            }
        // No libwebp on this machine.
        guard !file.isEmpty else { return }
        let name = "slow.\(kind)"
        let message = dataError(naming: name) {
            _ = try ImageDecoder(maximumSeconds: 0).decode(file, name: name)
        }
        #expect(message.contains("0.0 seconds") && message.contains("--max-seconds"))
        let whole = try ImageDecoder().decode(file, name: name)
        if kind != "jpg" { #expect(whole == image) }
    }

    /// Nothing where libwebp is not installed.
    private func losslessWebP(_ image: Image) -> [UInt8] {
        typealias Encode =
            @convention(c) (
                UnsafePointer<UInt8>?, Int32, Int32, Int32,
                UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
            ) -> Int
        guard let library = dlopen("libwebp.so.7", RTLD_NOW),
            let symbol = dlsym(library, "WebPEncodeLosslessRGB")
        else { return [] }
        var memory: UnsafeMutablePointer<UInt8>?
        let count = unsafeBitCast(symbol, to: Encode.self)(
            image.pixels, Int32(image.width), Int32(image.height), Int32(3 * image.width), &memory)
        defer { free(memory) }
        return Array(UnsafeBufferPointer(start: memory, count: count))
    }
}
