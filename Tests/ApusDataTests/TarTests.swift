import ApusData
import Foundation
import Testing

/// A tar archive made of blocks as POSIX and GNU describe them.
enum Tar {
    static func header(
        _ name: String, size: Int, kind: Character = "0", prefix: String = "",
        magic: String = "ustar\u{0}00"
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
        }
        put(String(name.prefix(100)), at: 0)
        put("0000644\u{0}0000000\u{0}0000000\u{0}", at: 100)
        put(octal(size, 11), at: 124)
        put("00000000000", at: 136)
        put("        ", at: 148)
        put(String(kind), at: 156)
        put(magic, at: 257)
        put(prefix, at: 345)
        let sum = block.reduce(0) { $0 + Int($1) }
        put(octal(sum, 6) + "\u{0} ", at: 148)
        return block
    }

    static func member(
        _ name: String, _ bytes: [UInt8], kind: Character = "0", prefix: String = ""
    ) -> [UInt8] {
        header(name, size: bytes.count, kind: kind, prefix: prefix) + padded(bytes)
    }

    static func pax(_ records: [(String, String)]) -> [UInt8] {
        let text = records.map { key, value in
            // The length counts its own digits.
            let rest = " \(key)=\(value)\n"
            var length = rest.utf8.count + 1
            while rest.utf8.count + String(length).count > length { length += 1 }
            return "\(length)\(rest)"
        }.joined()
        return member("PaxHeader", Array(text.utf8), kind: "x")
    }

    static func archive(_ members: [[UInt8]]) -> [UInt8] {
        members.flatMap(\.self) + .init(repeating: 0, count: 1024)
    }

    private static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + .init(repeating: 0, count: (512 - bytes.count % 512) % 512)
    }

    private static func octal(_ value: Int, _ digits: Int) -> String {
        let text = String(value, radix: 8)
        return String(repeating: "0", count: digits - text.count) + text
    }
}

@Suite struct TarTests {
    private let image = gradient(width: 8, height: 6)

    private func shard(_ names: [(name: String, label: String)]) throws -> [UInt8] {
        let png = try ImageEncoder.encodePNG(image)
        return Tar.archive(
            names.flatMap {
                [
                    Tar.member("\($0.name).png", png),
                    Tar.member("\($0.name).cls", Array($0.label.utf8)),
                ]
            })
    }

    @Test func samplesShareAStem() throws {
        let folder = try TemporaryFolder()
        let png = try ImageEncoder.encodePNG(image)
        let jpeg = try ImageEncoder.encodeJPEG(image)
        let long = String(repeating: "long/", count: 30) + "c"
        let path = try folder.write(
            Tar.archive([
                Tar.member("a", [], kind: "5"),
                Tar.member("a/1.cls", Array(" 12\n".utf8)),
                Tar.member("a/1.png", png),
                Tar.member("2.JPG", jpeg, prefix: "deep/er"),
                Tar.member("2.json", Array(#"{"label": 3, "other": [1]}"#.utf8), prefix: "deep/er"),
                Tar.member("././@LongLink", Array("\(long).jpeg\u{0}".utf8), kind: "L"),
                Tar.member(long, jpeg),
                Tar.pax([("path", "\(long).txt"), ("comment", "x")]),
                Tar.member("short", Array("12".utf8)),
                Tar.member("notes.md", Array("x".utf8)),
                Tar.member("lonely.cls", Array("7".utf8)),
                Tar.member(".hidden.jpg", jpeg),
            ]), to: "shard.tar")
        let source = try DataSets.open(path, split: .train)
        #expect(source.count == 3)
        #expect(source.classNames == ["3", "12"])
        #expect((0..<3).map(source.label(at:)) == [1, 0, 1])
        #expect(
            (0..<3).map(source.stableName(of:)) == ["a/1.png", "deep/er/2.JPG", "\(long).jpeg"])
        #expect(source.name(of: 0) == "\(path)[a/1.png]")
        #expect(source.otherFiles == ["\(path)[lonely.cls]", "\(path)[notes.md]"])
        #expect(try source.image(at: 0) == image)
        #expect(try source.stored(at: 2) == .encoded(jpeg))
        #expect(try DataSets.open("unlabelled:\(path)", split: .train).hasLabels == false)
    }

    @Test func severalShards() throws {
        let folder = try TemporaryFolder()
        try folder.write(shard([("1", "cat"), ("2", "dog")]), to: "p-train-08.tar")
        try folder.write(shard([("3", "ant")]), to: "p-train-09.tar")
        try folder.write(shard([("4", "dog")]), to: "p-val-08.tar")
        try folder.write(shard([("5", "cat")]), to: "p-val-09.tar")
        for name in ["\(folder.path)/p-train-{08..09}.tar", folder.path] {
            let train = try DataSets.open(name, split: .train)
            #expect(train.classNames == ["ant", "cat", "dog"])
            #expect((0..<3).map(train.label(at:)) == [1, 2, 0])
            let test = try DataSets.open(name, split: .test)
            #expect((0..<2).map(test.label(at:)) == [2, 1])
        }
        let braces = try DataSets.open("\(folder.path)/p-{train,val}-08.tar", split: .train)
        #expect(braces.count == 3)
        let missing = dataError(naming: "p-train-10.tar") {
            _ = try DataSets.open("\(folder.path)/p-train-{09..10}.tar", split: .train)
        }
        #expect(missing.contains("no such file"))
        for pattern in ["{9..2}", "{a..b}", "{0..99999999}", "{}"] {
            _ = dataError(naming: pattern) {
                _ = try DataSets.open("\(folder.path)/p\(pattern).tar", split: .train)
            }
        }
        try folder.write(shard([("6", "horse")]), to: "p-val-09.tar")
        let stranger = dataError(naming: "p-val-09.tar[6.png]") {
            _ = try DataSets.open(folder.path, split: .test)
        }
        #expect(stranger.contains("\"horse\"") && stranger.contains("ant, cat, dog"))
    }

    @Test func damagedArchives() throws {
        let folder = try TemporaryFolder()
        let png = try ImageEncoder.encodePNG(image)
        func message(_ bytes: [UInt8], _ name: String = "x.tar") throws -> String {
            let path = try folder.write(bytes, to: name)
            return dataError(naming: name) { _ = try DataSets.open(path, split: .train) }
        }
        let whole = try shard([("1", "cat"), ("2", "dog")])
        #expect(try message(Array(whole.prefix(560))).contains("cut short inside 1.png"))
        #expect(try message(Array(whole.prefix(1200))).contains("cut short"))
        #expect(try message(Array("just text, but enough of it".utf8)).contains("cut short"))
        #expect(try message([UInt8](repeating: 7, count: 1024)).contains("not a tar archive"))
        #expect(try message(gzip(whole) + .init(repeating: 0, count: 512)).contains("gunzip"))
        #expect(try message([]).contains("no images"))
        let twice = [Tar.member("1.png", png), Tar.member("1.jpg", png)]
        #expect(try message(Tar.archive(twice)).contains("same sample as 1.png"))
        let half = [
            Tar.member("1.png", png), Tar.member("1.cls", Array("cat".utf8)),
            Tar.member("2.png", png),
        ]
        #expect(try message(Tar.archive(half)).contains("has no label"))
        let caption = [UInt8](repeating: 0x61, count: 300)
        let long = [Tar.member("1.png", png), Tar.member("1.txt", caption)]
        #expect(try message(Tar.archive(long)).contains("too long for a label"))
        let source = try TarSource(
            shards: [folder.write(Tar.archive(long), to: "x.tar")], readsLabels: false)
        #expect(source.count == 1 && !source.hasLabels)
        // Read after it was cut.
        let path = try folder.write(whole, to: "cut.tar")
        let opened = try DataSets.open(path, split: .train)
        try folder.write(Array(whole.prefix(600)), to: "cut.tar")
        let cut = dataError(naming: "cut.tar[1.png]") { _ = try opened.image(at: 0) }
        #expect(cut.contains("changed"))
    }
}
