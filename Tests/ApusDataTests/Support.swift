import ApusData
import ApusTensor
import CTurboJPEG
import CZlib
import Foundation
import Testing

/// A folder that is gone after the test.
final class TemporaryFolder {
    let path: String

    /// - Parameter inMemory: for many small files, if the system has a place for that
    init(inMemory: Bool = false) throws {
        let memory = "/dev/shm"
        let place =
            inMemory && FileManager.default.isWritableFile(atPath: memory)
            ? URL(fileURLWithPath: memory) : FileManager.default.temporaryDirectory
        let url =
            place
            .appendingPathComponent("apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, making the folders on the way, and gives its path.
    @discardableResult
    func write(_ bytes: [UInt8], to name: String) throws -> String {
        let url = URL(fileURLWithPath: path).appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
        return url.path
    }

    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: "\(path)/\(name)", withIntermediateDirectories: true)
    }
}

/// The error `body` throws, checked to be one line that names `place`.
func dataError(
    naming place: String, _ body: () throws -> Void,
    sourceLocation: SourceLocation = #_sourceLocation
) -> String {
    do {
        try body()
        Issue.record("no error was thrown", sourceLocation: sourceLocation)
        return ""
    } catch {
        let message = "\(error)"
        #expect(error is DataError, sourceLocation: sourceLocation)
        #expect(message.contains(place), sourceLocation: sourceLocation)
        #expect(!message.contains("\n"), sourceLocation: sourceLocation)
        #expect(error.localizedDescription == message, sourceLocation: sourceLocation)
        return message
    }
}

/// A picture of random samples.
func noise(_ name: String, width: Int, height: Int, channels: Int) -> Image {
    let key = RandomKey(seed: 1).child(name)
    return Image(
        width: width, height: height, channels: channels,
        pixels: (0..<(width * height * channels)).map {
            UInt8(truncatingIfNeeded: key.bits(at: $0))
        })
}

/// A picture that JPEG keeps nearly as it is; every corner looks different.
func gradient(width: Int, height: Int) -> Image {
    var pixels: [UInt8] = []
    for y in 0..<height {
        for x in 0..<width {
            pixels += [
                UInt8(255 * x / max(width - 1, 1)), UInt8(255 * y / max(height - 1, 1)), 128,
            ]
        }
    }
    return Image(width: width, height: height, channels: 3, pixels: pixels)
}

func largestDifference(_ a: Image, _ b: Image) -> Int {
    guard a.width == b.width, a.height == b.height, a.channels == b.channels else { return 256 }
    return zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
}

func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    guard apus_gzip_begin(&stream) == Z_OK else { return [] }
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: bytes.count + 1024)
    let count = input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            #expect(deflate(&stream, Z_FINISH) == Z_STREAM_END)
            return output.count - Int(stream.avail_out)
        }
    }
    return Array(output[..<count])
}

func bigEndian(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
}

/// A PNG file of any color type and depth from its packed rows.
func rawPNG(
    width: Int, height: Int, depth: UInt8, colorType: UInt8, rows: [[UInt8]],
    palette: [UInt8] = [], transparency: [UInt8] = []
) -> [UInt8] {
    func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return bigEndian(data.count) + body
            + bigEndian(Int(crc32(0, body, UInt32(body.count))))
    }
    let plain: [UInt8] = rows.flatMap { (row: [UInt8]) -> [UInt8] in [0] + row }
    var count = compressBound(UInt(plain.count))
    var packed = [UInt8](repeating: 0, count: Int(count))
    #expect(compress(&packed, &count, plain, UInt(plain.count)) == Z_OK)
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    file += chunk("IHDR", bigEndian(width) + bigEndian(height) + [depth, colorType, 0, 0, 0])
    if !palette.isEmpty { file += chunk("PLTE", palette) }
    if !transparency.isEmpty { file += chunk("tRNS", transparency) }
    return file + chunk("IDAT", Array(packed[..<Int(count)])) + chunk("IEND", [])
}

/// A JPEG file of four inks, stored the way the samples are given.
func cmykJPEG(width: Int, height: Int, samples: [UInt8]) throws -> [UInt8] {
    let handle = try #require(tjInitCompress())
    defer { tjDestroy(handle) }
    var memory: UnsafeMutablePointer<UInt8>?
    var count: UInt = 0
    defer { tjFree(memory) }
    let status = tjCompress2(
        handle, samples, Int32(width), 0, Int32(height), Int32(TJPF_CMYK.rawValue), &memory,
        &count, Int32(TJSAMP_444.rawValue), 100, 0)
    #expect(status == 0)
    return Array(UnsafeBufferPointer(start: try #require(memory), count: Int(count)))
}

/// The JPEG file with an EXIF segment that states an orientation.
func withOrientation(_ orientation: Int, bigEndian: Bool, _ jpeg: [UInt8]) -> [UInt8] {
    func number(_ value: Int, _ bytes: Int) -> [UInt8] {
        let little = (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        return bigEndian ? little.reversed() : little
    }
    let tiff =
        Array((bigEndian ? "MM" : "II").utf8) + number(42, 2) + number(8, 4) + number(2, 2)
        + number(0x0100, 2) + number(4, 2) + number(1, 4) + number(7, 4)
        + number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + [0, 0]
        + number(0, 4)
    let payload = Array("Exif".utf8) + [0, 0] + tiff
    let length = payload.count + 2
    return Array(jpeg[..<2]) + [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 255)] + payload
        + Array(jpeg[2...])
}
