import ApusData
import ApusTensor
import CTurboJPEG
import Foundation
import Testing

/// Damaged bytes give an image or an error of one line, and never take the process down, stop it or
/// fill its memory.
///
/// Every run tries the same 20,000 files. With `APUS_FUZZ_SECONDS`, as `make fuzz` sets it, each kind
/// goes on with others for so long, the process is alone and its memory is looked at too, and the
/// file that is being tried lies in `APUS_FUZZ_FOLDER`.
@Suite(.serialized) struct FuzzTests {
    enum Kind: String, CaseIterable { case jpeg, views, png, webp, tar, pack, list }

    private static let seconds = ProcessInfo.processInfo.environment["APUS_FUZZ_SECONDS"]
        .flatMap(Double.init)
    private static let count = 20_000

    /// More images are not read from a damaged archive.
    private static let mostImages = 20

    /// libwebp is not on every machine.
    private static let kinds = Kind.allCases.filter { kind in
        kind != .webp || webP.allSatisfy { (try? ImageDecoder().decode($0, name: "seed")) != nil }
    }

    @Test(arguments: kinds) func damaged(kind: Kind) throws {
        let folder = try TemporaryFolder(inMemory: true)
        let target = try Target(kind, folder: folder.path)
        let share = Self.count / Kind.allCases.count + 1
        let start = ContinuousClock.now
        var outcomes = (good: 0, bad: 0)
        var resident = 0
        var round = 0
        while round < share || (ContinuousClock.now - start) / .seconds(1) < Self.seconds ?? 0 {
            let key = RandomKey(seed: 5).child(kind.rawValue).child(round)
            let bytes = target.mutant(key)
            let before = ContinuousClock.now
            do {
                try target.read(bytes)
                outcomes.good += 1
            } catch let error as DataError {
                if "\(error)".contains("\n") { Issue.record("round \(round): \(error)") }
                outcomes.bad += 1
            }
            if ContinuousClock.now - before > .seconds(20) {
                Issue.record("round \(round) took \(ContinuousClock.now - before)")
            }
            round += 1
            // By now every buffer that is kept has been needed.
            if round == share / 2 { resident = Self.residentBytes }
        }
        #expect(outcomes.good > share / 100 && outcomes.bad > share / 10, "\(outcomes)")
        if Self.seconds != nil {
            let growth = Self.residentBytes - resident
            print("\(kind): \(round) files, \(outcomes), grown by \(growth >> 10) KiB")
            #expect(growth < 64 << 20, "\(kind) grew by \(growth) bytes in \(round) files")
        }
    }

    private static var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// What is damaged and how it is read.
    private final class Target {
        private let kind: Kind
        private let seeds: [[UInt8]]
        private let path: String
        private let keptPath: String?
        private let decoder = ImageDecoder(maximumPixels: 1_000_000)
        private let maker: ViewMaker
        private let memory: UnsafeMutablePointer<Float>

        init(_ kind: Kind, folder: String) throws {
            self.kind = kind
            seeds = try FuzzTests.seeds(kind, folder: folder)
            let ending = kind == .tar ? "tar" : kind == .pack ? "apack" : "csv"
            path = "\(folder)/mutant.\(ending)"
            keptPath = ProcessInfo.processInfo.environment["APUS_FUZZ_FOLDER"].map {
                "\($0)/\(kind.rawValue)"
            }
            var preprocessing = Preprocessing.cifar
            preprocessing.crop = ImageSize(16)
            let view = try ImageTransform(
                preprocessing: preprocessing,
                augmentation: Views.named("supervised")[0], output: ImageSize(16))
            maker = ViewMaker([view, view], decoder: decoder)
            memory = .allocate(capacity: 2 * view.count)
        }

        deinit { memory.deallocate() }

        func mutant(_ key: RandomKey) -> [UInt8] {
            var bytes = seeds[key.integer(below: seeds.count, at: 0)]
            for change in 0..<(1 + key.integer(below: 4, at: 1)) {
                FuzzTests.damage(&bytes, key.child(change), other: seeds[0])
            }
            // Checksums would keep most damage from going any deeper.
            if key.bits(at: 2) & 1 == 0 {
                if kind == .tar { FuzzTests.repairTar(&bytes) }
                if kind == .pack { FuzzTests.repairPack(&bytes) }
            }
            return bytes
        }

        /// Makes a new file each time: some file systems write one that is emptied and filled again
        /// through to the disk.
        private func write(_ bytes: [UInt8], to path: String) throws {
            unlink(path)
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        }

        func read(_ bytes: [UInt8]) throws {
            if let keptPath { try write(bytes, to: keptPath) }
            switch kind {
            case .jpeg, .png, .webp:
                let image = try decoder.decode(bytes, name: "mutant")
                #expect(image.width * image.height <= 1_000_000)
            case .views:
                let key = RandomKey(seed: UInt64(bytes.count))
                try maker.make(.encoded(bytes), name: "mutant") {
                    key.child($0)
                } to: {
                    memory + $0 * maker.views[0].count
                }
            case .tar, .pack, .list:
                try write(bytes, to: path)
                let source = try DataSets.open(path, split: .train)
                var failure: (any Error)?
                for index in 0..<min(source.count, FuzzTests.mostImages) {
                    _ = source.label(at: index)
                    _ = source.stableName(of: index)
                    do { _ = try source.image(at: index) } catch { failure = error }
                }
                if let failure { throw failure }
            }
        }
    }

    // MARK: Damage

    private static func damage(_ bytes: inout [UInt8], _ key: RandomKey, other: [UInt8]) {
        guard !bytes.isEmpty else { return }
        // Half of the changes go to the headers, where they do the most harm.
        let reach = key.bits(at: 0) & 1 == 0 ? bytes.count : min(bytes.count, 80)
        let place = key.integer(below: reach, at: 1)
        let length = min(1 + key.integer(below: 40, at: 2), bytes.count - place)
        switch key.integer(below: 9, at: 3) {
        case 0, 1: bytes[place] = UInt8(truncatingIfNeeded: key.bits(at: 4))
        case 2: bytes[place] ^= 1 << UInt8(key.integer(below: 8, at: 4))
        case 3:
            let value: UInt8 = key.bits(at: 4) & 1 == 0 ? 0 : 0xFF
            for index in place..<place + length { bytes[index] = value }
        case 4: bytes.removeSubrange(place..<place + length)
        case 5: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
        case 6: bytes.removeLast(key.integer(below: bytes.count, at: 4))
        case 7:
            let from = key.integer(below: other.count, at: 4)
            bytes.insert(contentsOf: other[from..<min(from + length, other.count)], at: place)
        default:
            for index in place..<place + length {
                bytes[index] = UInt8(truncatingIfNeeded: key.bits(at: 8 + index))
            }
        }
    }

    /// Makes the checksums of all blocks that may be headers right again.
    private static func repairTar(_ bytes: inout [UInt8]) {
        for start in stride(from: 0, to: bytes.count - 511, by: 512)
        where bytes[start + 257..<start + 262].elementsEqual("ustar".utf8) {
            for index in 148..<156 { bytes[start + index] = 0x20 }
            let sum = bytes[start..<start + 512].reduce(0) { $0 + Int($1) }
            for (index, digit) in String(sum, radix: 8).utf8.enumerated() {
                bytes[start + 148 + index] = digit
            }
        }
    }

    /// Makes the checksum of the index right again, if it still ends like one.
    private static func repairPack(_ bytes: inout [UInt8]) {
        let end = bytes.count - 64
        guard end > 64 else { return }
        let start = bytes[end + 8..<end + 16].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard start < UInt64(end) else { return }
        let checksum = XXHash64.hash(Array(bytes[Int(start)..<end]))
        for index in 0..<8 {
            bytes[end + 40 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt64(index)))
        }
    }

    // MARK: Whole files

    private static func seeds(_ kind: Kind, folder: String) throws -> [[UInt8]] {
        let image = gradient(width: 60, height: 44)
        let gray = noise("gray", width: 33, height: 21, channels: 1)
        switch kind {
        case .jpeg, .views:
            return [
                withOrientation(
                    6, bigEndian: true, try ImageEncoder.encodeJPEG(image, quality: 70)),
                try ImageEncoder.encodeJPEG(image), try ImageEncoder.encodeJPEG(gray),
                try progressiveJPEG(image),
                try cmykJPEG(width: 16, height: 16, samples: .init(repeating: 77, count: 1024)),
            ]
        case .png:
            return [
                try ImageEncoder.encodePNG(image), try ImageEncoder.encodePNG(gray),
                rawPNG(
                    width: 4, height: 2, depth: 2, colorType: 3, rows: [[27], [228]],
                    palette: [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7], transparency: [0, 128]),
                rawPNG(
                    width: 2, height: 2, depth: 16, colorType: 6,
                    rows: [.init(repeating: 9, count: 16), .init(repeating: 200, count: 16)]),
            ]
        case .webp: return webP
        case .tar:
            let png = try ImageEncoder.encodePNG(gray)
            return [
                Tar.archive([
                    Tar.member("a/1.png", png), Tar.member("a/1.cls", Array("cat".utf8)),
                    Tar.pax([("path", "a/2.png"), ("size", "\(png.count)")]),
                    Tar.member("x", png), Tar.member("a/2.json", Array("{\"label\": 3}".utf8)),
                ]),
                Tar.archive([
                    Tar.member("././@LongLink", Array("long/name/3.png\u{0}".utf8), kind: "L"),
                    Tar.member("x", png, prefix: "y"), Tar.member("dir", [], kind: "5"),
                ]),
            ]
        case .pack:
            try Data(try ImageEncoder.encodeJPEG(image)).write(
                to: URL(fileURLWithPath: "\(folder)/a.jpg"))
            try Data(try ImageEncoder.encodePNG(gray)).write(
                to: URL(fileURLWithPath: "\(folder)/b.png"))
            try Data("file,label\na.jpg,x\nb.png,y\n".utf8).write(
                to: URL(fileURLWithPath: "\(folder)/seed.csv"))
            return try [PackEncoding.keep, .raw].map { encoding in
                let path = "\(folder)/seed.apack"
                _ = try PackWriter.write(
                    DataSets.openSplits("\(folder)/seed.csv"), to: path,
                    options: PackOptions(encoding: encoding))
                return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            }
        case .list:
            try Data(try ImageEncoder.encodePNG(gray)).write(
                to: URL(fileURLWithPath: "\(folder)/a.png"))
            return [
                Array("file,label\r\na.png,cat\r\n\"a.png\",\"d\"\"og\"\r\na.png,x\n".utf8),
                Array("label,other,path\n1,\"a\nb\",a.png\n2,,a.png\n".utf8),
            ]
        }
    }

    /// A lossy picture, and one without loss and with alpha, of 24x16 pixels.
    private static let webP: [[UInt8]] = [
        "UklGRnIAAABXRUJQVlA4IGYAAABQBACdASoYABAAPu1mqk2zpaQiMAgCcB2JbACdMoRwN5WBLiXY"
            + "vfzq/zkAAP79s2LzpohVSCHWOOMMG8rTjsF0Y/qtOea2V6o+7gpEuf7LkAMkUM6LyLX17VoYbAql"
            + "GJskc+tAAAA=",
        "UklGRkwAAABXRUJQVlA4TEAAAAAvF8ADELkyRPQ/dlH/6H84jLSNVAfv3/HBh4OjoLhtJDW3vHv8"
            + "5RMSpBCbEwAkvu4g0PgLSEao+DYUTDVh4KkC",
    ].compactMap { Data(base64Encoded: $0).map(Array.init) }

    private static func progressiveJPEG(_ image: Image) throws -> [UInt8] {
        let handle = try #require(tjInitCompress())
        defer { tjDestroy(handle) }
        var memory: UnsafeMutablePointer<UInt8>?
        var count: UInt = 0
        defer { tjFree(memory) }
        let status = tjCompress2(
            handle, image.pixels, Int32(image.width), 0, Int32(image.height),
            Int32(TJPF_RGB.rawValue), &memory, &count, Int32(TJSAMP_420.rawValue), 80,
            TJFLAG_PROGRESSIVE)
        #expect(status == 0)
        return Array(UnsafeBufferPointer(start: try #require(memory), count: Int(count)))
    }
}
