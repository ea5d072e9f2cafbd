import ApusData
import ApusFiles
import ApusTensor
import Foundation
import Testing

@Suite struct PackTests {
    private func photos() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let large = gradient(width: 90, height: 60)
        try folder.write(ImageEncoder.encodeJPEG(large), to: "in/train/cat/large.jpg")
        try folder.write(
            ImageEncoder.encodeJPEG(gradient(width: 20, height: 16)), to: "in/train/cat/small.jpg")
        try folder.write(
            ImageEncoder.encodePNG(noise("n", width: 12, height: 9, channels: 1)),
            to: "in/train/dog/gray.png")
        try folder.write(ImageEncoder.encodePNG(large), to: "in/test/dog/large.png")
        return folder
    }

    private func pack(
        _ folder: TemporaryFolder, _ options: PackOptions, to name: String = "out.apack"
    ) throws -> (path: String, report: PackReport) {
        let path = "\(folder.path)/\(name)"
        return (
            path,
            try PackWriter.write(
                DataSets.openSplits("\(folder.path)/in"), to: path, options: options)
        )
    }

    @Test(arguments: PackEncoding.allCases) func holdsBothSplits(encoding: PackEncoding) throws {
        let folder = try photos()
        let side = encoding == .keep ? nil : 30
        let (path, report) = try pack(
            folder, PackOptions(encoding: encoding, maximumSide: side, quality: 95))
        #expect(report.images == 4 && report.broken.isEmpty)
        #expect(report.bytes == (try Data(contentsOf: URL(fileURLWithPath: path))).count)
        let original = try DataSets.open("\(folder.path)/in", split: .train)
        let train = try DataSets.open(path, split: .train)
        let test = try DataSets.open("pack:\(path)", split: .test)
        #expect(train.count == 3 && test.count == 1)
        #expect(train.classNames == ["cat", "dog"] && test.classNames == ["cat", "dog"])
        #expect((0..<3).map(train.label(at:)) == [0, 0, 1] && test.label(at: 0) == 1)
        #expect(train.stableName(of: 1) == "cat/small.jpg")
        #expect(train.name(of: 1) == "\(path)[cat/small.jpg]")
        let large = try train.image(at: 0)
        #expect((large.width, large.height) == (encoding == .keep ? (90, 60) : (30, 20)))
        // Small JPEG files are not compressed twice.
        #expect(try train.image(at: 1) == original.image(at: 1))
        if encoding != .raw {
            #expect(try train.stored(at: 1) == original.stored(at: 1))
        }
        let gray = try train.image(at: 2)
        #expect(gray.channels == 1)
        if encoding != .jpeg { #expect(try gray == original.image(at: 2)) }
    }

    @Test func sameBytesForAnyThreads() throws {
        let folder = try photos()
        var files: [Data] = []
        for threads in [1, 2, 7] {
            let (path, _) = try pack(
                folder, PackOptions(maximumSide: 40, threads: threads), to: "\(threads).apack")
            files.append(try Data(contentsOf: URL(fileURLWithPath: path)))
        }
        #expect(files[0] == files[1] && files[0] == files[2])
    }

    @Test func brokenImages() throws {
        let folder = try photos()
        try folder.write(Array("text".utf8), to: "in/train/dog/bad.jpg")
        let message = dataError(naming: "bad.jpg") { _ = try pack(folder, PackOptions()) }
        #expect(message.contains("--skip-broken"))
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/out.apack"))
        let (path, report) = try pack(folder, PackOptions(skipsBroken: true))
        #expect(report.images == 4 && report.broken.count == 1)
        #expect(report.broken[0].contains("bad.jpg"))
        #expect(try DataSets.open(path, split: .train).count == 3)
        let unlabelled = try TemporaryFolder()
        try unlabelled.write([1], to: "a.png")
        let none = dataError(naming: "x.apack") {
            _ = try PackWriter.write(
                DataSets.openSplits(unlabelled.path), to: "\(unlabelled.path)/x.apack",
                options: PackOptions(skipsBroken: true))
        }
        #expect(none.contains("none of 1 can be read"))
        // Stopped by the caller, nothing is left.
        struct Stop: Error {}
        #expect(throws: Stop.self) {
            _ = try PackWriter.write(
                DataSets.openSplits("\(folder.path)/in"), to: "\(folder.path)/stop.apack",
                options: PackOptions(skipsBroken: true)
            ) { done, _ in if done == 2 { throw Stop() } }
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(left.sorted() == ["in", "out.apack"])
    }

    @Test func unlabelledAndRaw() throws {
        let folder = try TemporaryFolder()
        for name in ["a.png", "b/c.png"] {
            try folder.write(
                ImageEncoder.encodePNG(noise(name, width: 9, height: 7, channels: 3)),
                to: "in/\(name)")
        }
        let path = "\(folder.path)/x"
        _ = try PackWriter.write(
            [(.train, DataSets.open("unlabelled:\(folder.path)/in", split: .train))], to: path,
            options: PackOptions(encoding: .raw))
        // Known by its content.
        let source = try DataSets.open(path, split: .train)
        #expect(!source.hasLabels && source.label(at: 1) == -1)
        #expect(source.imageShape == ImageShape(channels: 3, height: 7, width: 9))
        #expect(try source.image(at: 1) == noise("b/c.png", width: 9, height: 7, channels: 3))
        let none = dataError(naming: path) { _ = try DataSets.open(path, split: .test) }
        #expect(none.contains("no test split"))
    }

    @Test func damage() throws {
        let folder = try photos()
        let (path, _) = try pack(folder, PackOptions(encoding: .keep))
        let whole = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        func message(_ bytes: [UInt8]) throws -> String {
            let path = try folder.write(bytes, to: "bad.apack")
            return dataError(naming: path) { _ = try DataSets.open(path, split: .train) }
        }
        #expect(try message(Array(whole.dropLast())).contains("cut short"))
        #expect(try message(Array(whole.prefix(70))).contains("cut short"))
        #expect(try message([]).contains("not a pack"))
        #expect(try message(Array("hello, this is text".utf8)).contains("not a pack"))
        var newer = whole
        newer[8] = 9
        #expect(try message(newer).contains("version 9, newer than 1"))
        var index = whole
        index[whole.count - 200] ^= 1
        #expect(try message(index).contains("damaged index"))
        // One image's damage is that image's alone.
        var image = whole
        image[64 + 100] ^= 1
        let source = try DataSets.open(try folder.write(image, to: "one.apack"), split: .train)
        let text = dataError(naming: "one.apack[cat/large.jpg]") { _ = try source.image(at: 0) }
        #expect(text.contains("checksum"))
        #expect(try source.image(at: 1).width == 20)
    }

    @Test func optionsThatDoNotFit() throws {
        let folder = try photos()
        for (options, place) in [
            (PackOptions(quality: 0), "quality"), (PackOptions(maximumSide: 0), "largest side"),
            (PackOptions(encoding: .keep, maximumSide: 3), "kept as they are"),
        ] {
            #expect(dataError(naming: "pack") { _ = try pack(folder, options) }.contains(place))
        }
        #expect(throws: FileError.self) {
            _ = try pack(folder, PackOptions(), to: "missing/out.apack")
        }
    }

    /// Results of the reference implementation.
    @Test(
        arguments: [
            ("", 0xEF46_DB37_51D8_E999), ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64)])
    func checksums(text: String, expected: UInt64) {
        #expect(XXHash64.hash(Array(text.utf8)) == expected)
    }
}
