import ApusData
import ApusTensor
import CJPEG
import CTurboJPEG
import Foundation
import Testing

/// Our entropy decoder against libjpeg's own: the same pixels, and for damaged files the same error.
@Suite struct EntropyDecoderTests {
    /// What is read of a picture. Whole numbers of any size are brought into it.
    struct Request {
        var denominator = 1
        var isGray = false
        var box: (left: Int, width: Int, top: Int, height: Int)?

        static func random(_ key: RandomKey) -> Request {
            func number(_ place: Int) -> Int { key.integer(below: 1 << 20, at: place) }
            return Request(
                denominator: 1 << key.integer(below: 4, at: 0), isGray: key.bits(at: 1) & 3 == 0,
                box: key.bits(at: 2) & 3 == 0
                    ? nil : (number(3), number(4), number(5), number(6)))
        }
    }

    struct Outcome: Equatable {
        var pixels: [UInt8] = []
        var left: Int32 = 0
        var width: Int32 = 0
        /// Nil if the picture was read.
        var message: String?
    }

    final class Decoder {
        private let handle: OpaquePointer

        init(isPlain: Bool) throws {
            handle = try #require(apus_jpeg_create())
            apus_jpeg_set_plain(handle, isPlain ? 1 : 0)
        }

        deinit { apus_jpeg_destroy(handle) }

        var isFast: Bool { apus_jpeg_is_fast(handle) != 0 }

        func read(_ file: [UInt8], _ request: Request) -> Outcome {
            file.withUnsafeBufferPointer { read($0, request) }
        }

        private func read(_ file: UnsafeBufferPointer<UInt8>, _ request: Request) -> Outcome {
            var failure: Outcome { Outcome(message: String(cString: apus_jpeg_message(handle))) }
            var header = apus_jpeg_header()
            guard
                apus_jpeg_begin(
                    handle, file.baseAddress, UInt(file.count), 100, 1000, &header) != 0
            else { return failure }
            let scale = request.denominator
            let width = (Int(header.width) + scale - 1) / scale
            let height = (Int(header.height) + scale - 1) / scale
            guard width > 0, height > 0, width * height < 1 << 20 else {
                return Outcome(message: "not tried")
            }
            let samples = request.isGray && header.samples == 3 ? 1 : header.samples
            var (left, columns) = (Int32(0), Int32(width))
            var (top, rows) = (0, height)
            if let box = request.box {
                left = Int32(box.left % width)
                columns = Int32(1 + box.width % (width - Int(left)))
                top = box.top % height
                rows = 1 + box.height % (height - top)
            }
            guard apus_jpeg_start(handle, Int32(scale), samples, &left, &columns) != 0 else {
                return failure
            }
            var pixels = [UInt8](repeating: 0, count: Int(columns) * rows * Int(samples))
            guard apus_jpeg_read(handle, Int32(top), Int32(rows), &pixels) != 0 else {
                return failure
            }
            return Outcome(pixels: pixels, left: left, width: columns)
        }
    }

    @Test func everyKindOfFile() throws {
        let files = try Self.fixtures() + Self.generated()
        for (number, file) in files.enumerated() {
            let plain = try Decoder(isPlain: true)
            // Tables of small files are made when they are seen again.
            let fast = try Decoder(isPlain: false)
            for _ in 0..<2 { _ = fast.read(file, Request()) }
            for round in 0..<40 {
                let key = RandomKey(seed: 1).child(number).child(round)
                let request = round == 0 ? Request() : Request.random(key)
                let outcome = fast.read(file, request)
                #expect(outcome.message == nil)
                #expect(fast.isFast && !plain.isFast, "file \(number)")
                #expect(outcome == plain.read(file, request), "file \(number), \(request)")
            }
        }
    }

    @Test func aLongFileNeedsNoOther() throws {
        let file = try Self.encode(
            noise("long", width: 200, height: 150, channels: 3), TJSAMP_444, quality: 95)
        let fast = try Decoder(isPlain: false)
        _ = fast.read(file, Request())
        #expect(fast.isFast)
    }

    @Test func otherKindsAreLeftToTheLibrary() throws {
        let image = noise("other", width: 120, height: 90, channels: 3)
        let file = try Self.encode(image, TJSAMP_420, quality: 95, flags: TJFLAG_PROGRESSIVE)
        let fast = try Decoder(isPlain: false)
        for _ in 0..<3 {
            #expect(fast.read(file, Request()).message == nil)
            #expect(!fast.isFast)
        }
    }

    /// Damage to the header may change what is decoded, damage to the data is what libjpeg judges.
    @Test func damagedFilesEndAsWithTheLibrary() throws {
        let files = try Self.fixtures() + Self.generated().prefix(8)
        var counts = (fast: 0, doubtful: 0, errors: 0)
        for (number, file) in files.enumerated() {
            let (plain, fast) = (try Decoder(isPlain: true), try Decoder(isPlain: false))
            for _ in 0..<2 { _ = fast.read(file, Request()) }
            for round in 0..<250 {
                let key = RandomKey(seed: 2).child(number).child(round)
                let damaged = Self.damaged(file, key)
                let request = Request.random(key.child("request"))
                let outcome = fast.read(damaged, request)
                let expected = plain.read(damaged, request)
                #expect(outcome == expected, "file \(number), round \(round)")
                counts.fast += fast.isFast && outcome.message == nil ? 1 : 0
                counts.doubtful += !fast.isFast && outcome.message == nil ? 1 : 0
                counts.errors += outcome.message == nil ? 0 : 1
            }
        }
        #expect(counts.fast > 100 && counts.doubtful > 10 && counts.errors > 100, "\(counts)")
    }

    // MARK: Files

    private static func fixtures() throws -> [[UInt8]] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/jpeg")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasSuffix(".jpg") }.sorted()
        #expect(names.count == 6)
        return try names.map { Array(try Data(contentsOf: folder.appendingPathComponent($0))) }
    }

    private static func generated() throws -> [[UInt8]] {
        var files: [[UInt8]] = []
        let samplings = [TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411, TJSAMP_GRAY]
        for (number, quality) in [1, 3, 10, 25, 50, 75, 90, 95, 100].enumerated() {
            for (kind, sampling) in samplings.enumerated() {
                let key = RandomKey(seed: 3).child(number).child(kind)
                let (width, height) = (
                    1 + key.integer(below: 90, at: 0), 1 + key.integer(below: 90, at: 1)
                )
                let image =
                    key.bits(at: 2) & 1 == 0
                    ? gradient(width: width, height: height)
                    : noise("\(key)", width: width, height: height, channels: 3)
                files.append(try encode(image, sampling, quality: quality))
            }
        }
        let inks = noise("inks", width: 37 * 4, height: 29, channels: 1)
        files.append(try cmykJPEG(width: 37, height: 29, samples: inks.pixels))
        return files
    }

    private static func encode(
        _ image: Image, _ sampling: TJSAMP, quality: Int, flags: Int32 = 0
    ) throws -> [UInt8] {
        let handle = try #require(tjInitCompress())
        defer { tjDestroy(handle) }
        var memory: UnsafeMutablePointer<UInt8>?
        var count: UInt = 0
        defer { tjFree(memory) }
        let status = tjCompress2(
            handle, image.pixels, Int32(image.width), 0, Int32(image.height),
            Int32(TJPF_RGB.rawValue), &memory, &count, Int32(sampling.rawValue), Int32(quality),
            flags)
        #expect(status == 0)
        return Array(UnsafeBufferPointer(start: try #require(memory), count: Int(count)))
    }

    private static func damaged(_ file: [UInt8], _ key: RandomKey) -> [UInt8] {
        var bytes = file
        let place = key.integer(below: bytes.count, at: 0)
        let length = min(1 + key.integer(below: 6, at: 1), bytes.count - place)
        switch key.integer(below: 6, at: 2) {
        case 0: bytes[place] ^= 1 << UInt8(key.integer(below: 8, at: 3))
        case 1: bytes[place] = UInt8(truncatingIfNeeded: key.bits(at: 3))
        case 2: bytes[place] = 0xFF
        case 3: bytes.removeSubrange(place..<place + length)
        case 4: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
        default: bytes.removeLast(bytes.count - place)
        }
        return bytes
    }
}
