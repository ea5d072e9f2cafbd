import ApusData
import ApusTensor
import Testing

@Suite struct MutationTests {
    /// Damaged bytes give an image or an error of one line, and never take the process down.
    @Test func damagedFilesNeverCrash() throws {
        let image = gradient(width: 40, height: 30)
        let jpeg = withOrientation(6, bigEndian: true, try ImageEncoder.encodeJPEG(image))
        let files = [
            jpeg,
            try ImageEncoder.encodePNG(image),
            try cmykJPEG(width: 16, height: 16, samples: .init(repeating: 77, count: 1024)),
            rawPNG(
                width: 4, height: 2, depth: 2, colorType: 3, rows: [[27], [228]],
                palette: [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7], transparency: [0, 128]),
        ]
        let decoder = ImageDecoder(maximumPixels: 1_000_000)
        var outcomes = (images: 0, errors: 0)
        for (number, file) in files.enumerated() {
            for round in 0..<400 {
                let key = RandomKey(seed: 3).child(number).child(round)
                var bytes = file
                // Half of the changes go to the headers, where they do the most harm.
                let reach = round % 2 == 0 ? bytes.count : min(bytes.count, 64)
                for change in 0..<(1 + round % 5) {
                    let place = key.integer(below: reach, at: 3 * change)
                    let value = UInt8(truncatingIfNeeded: key.bits(at: 3 * change + 1))
                    bytes[place] = value
                }
                if round % 7 == 0 {
                    bytes.removeLast(key.integer(below: bytes.count, at: 100))
                }
                do {
                    let result = try decoder.decode(bytes, name: "mutant")
                    #expect(result.width * result.height <= 1_000_000)
                    outcomes.images += 1
                } catch let error as DataError {
                    if "\(error)".contains("\n") { Issue.record("\(error)") }
                    outcomes.errors += 1
                }
            }
        }
        #expect(outcomes.images > 0 && outcomes.errors > 400)
    }

    @Test func damagedGzipNeverCrashes() throws {
        let plain = noise("gzip", width: 40, height: 40, channels: 1).pixels
        let file = gzip(plain)
        #expect(try FileBytes.gunzip(file, name: "a.gz") == plain)
        #expect(try FileBytes.gunzip(file + file, name: "a.gz") == plain + plain)
        for round in 0..<300 {
            let key = RandomKey(seed: 4).child(round)
            var bytes = file
            bytes[key.integer(below: bytes.count, at: 0)] = UInt8(
                truncatingIfNeeded: key.bits(at: 1))
            if round % 3 == 0 { bytes.removeLast(key.integer(below: bytes.count, at: 2)) }
            do {
                _ = try FileBytes.gunzip(bytes, name: "a.gz", limit: 100_000)
            } catch is DataError {}
        }
        let bomb = gzip([UInt8](repeating: 0, count: 200_000))
        let message = dataError(naming: "a.gz") {
            _ = try FileBytes.gunzip(bomb, name: "a.gz", limit: 100_000)
        }
        #expect(message.contains("100000"))
    }
}
