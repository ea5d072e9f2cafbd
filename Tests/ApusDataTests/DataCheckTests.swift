import ApusData
import ApusTensor
import Foundation
import Testing

@Suite struct DataCheckTests {
    /// Large blots of color, which look the same at any size.
    private func picture(_ seed: Int, width: Int = 96, height: Int = 80) -> Image {
        let key = RandomKey(seed: 9).child(seed)
        let coarse = Image(
            width: 6, height: 5, channels: 3,
            pixels: (0..<90).map { UInt8(truncatingIfNeeded: key.bits(at: $0)) })
        return coarse.scaled(to: ImageSize(height: height, width: width))
    }

    private func check(_ folder: TemporaryFolder, threads: Int = 2) throws -> DataFindings {
        try DataCheck.run(DataSets.openSplits(folder.path), threads: threads)
    }

    private func messy() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (split, label, range) in [
            ("train", "cat", 0..<8), ("train", "dog", 8..<12), ("test", "cat", 12..<14),
            ("test", "dog", 14..<15),
        ] {
            for index in range {
                try folder.write(
                    ImageEncoder.encodePNG(picture(index)), to: "\(split)/\(label)/\(index).png")
            }
        }
        return folder
    }

    @Test func nothingWrong() throws {
        let findings = try check(messy())
        #expect(findings.images == 15 && findings.readable == 15)
        #expect(findings.problems.isEmpty && findings.duplicates.isEmpty)
        #expect(findings.shortSides == DataFindings.Spread([80, 80]))
        #expect(findings.longSides?.median == 96)
        #expect(
            findings.classes == [
                ClassCount(name: "cat", train: 8, test: 2),
                ClassCount(name: "dog", train: 4, test: 1),
            ])
        #expect(findings.imbalance == 2)
        #expect(findings.mean.count == 3 && findings.deviation.allSatisfy { $0 > 0.05 })
    }

    @Test func everyProblemOnce() throws {
        let folder = try messy()
        let jpeg = try ImageEncoder.encodeJPEG(picture(20))
        try folder.write(Array(jpeg.dropLast(jpeg.count / 2)), to: "train/cat/cut.jpg")
        let png = try ImageEncoder.encodePNG(picture(21))
        try folder.write(Array(png.dropLast(png.count / 2)), to: "train/cat/cut.png")
        var damaged = png
        damaged[png.count / 2] ^= 0xFF
        try folder.write(damaged, to: "train/cat/damaged.png")
        try folder.write(Array("text".utf8), to: "train/cat/text.jpg")
        #expect(symlink("nowhere", "\(folder.path)/train/cat/link.jpg") == 0)
        try folder.write(jpeg, to: "train/dog/name.png")
        try folder.write(
            ImageEncoder.encodePNG(picture(22, width: 9, height: 9)), to: "train/dog/tiny.png")
        try folder.write(
            ImageEncoder.encodePNG(picture(23, width: 2200, height: 2100)),
            to: "train/dog/huge.png")
        try folder.write(
            ImageEncoder.encodePNG(picture(24, width: 500, height: 90)), to: "train/dog/long.png")
        try folder.write(
            ImageEncoder.encodePNG(
                Image(width: 90, height: 90, channels: 1, pixels: .init(repeating: 3, count: 8100))),
            to: "train/dog/black.png")
        try folder.write([1], to: "train/dog/notes.txt")
        let findings = try check(folder)
        let found = findings.problems.map {
            "\($0.problem.rawValue) \(($0.image.name as NSString).lastPathComponent)"
        }
        #expect(
            found == [
                "unreadable link.jpg", "cut short cut.jpg", "cut short cut.png",
                "damaged damaged.png", "no image text.jpg", "wrong name name.png",
                "tiny tiny.png", "huge huge.png", "oblong long.png", "one color black.png",
            ])
        #expect(findings.broken.count == 5)
        #expect(findings.images == 25 && findings.readable == 20)
        #expect(findings.otherFiles.map { $0.hasSuffix("notes.txt") } == [true])
        for threads in [1, 7] { #expect(try check(folder, threads: threads) == findings) }
    }

    @Test func duplicates() throws {
        let folder = try messy()
        try folder.write(ImageEncoder.encodePNG(picture(0)), to: "test/cat/same.png")
        try folder.write(ImageEncoder.encodePNG(picture(9)), to: "train/cat/same.png")
        // Smaller and compressed, and half the brightness.
        try folder.write(
            ImageEncoder.encodeJPEG(picture(3).scaled(toLongSide: 60), quality: 60),
            to: "train/dog/near.jpg")
        let dark = picture(4)
        try folder.write(
            ImageEncoder.encodePNG(
                Image(
                    width: dark.width, height: dark.height, channels: 3,
                    pixels: dark.pixels.map { $0 / 2 })), to: "train/cat/dark.png")
        let groups = try check(folder).duplicates
        func names(_ group: DuplicateGroup) -> [String] {
            group.images.map { ($0.name as NSString).lastPathComponent }
        }
        #expect(groups.map(\.isExact) == [true, true, false])
        #expect(
            groups.map(names) == [
                ["0.png", "same.png"], ["same.png", "9.png"], ["3.png", "near.jpg"],
            ])
        #expect(groups.map(\.isAcrossSplits) == [true, false, false])
        #expect(groups.map(\.isAcrossClasses) == [false, true, true])
    }

    /// The bands miss no pair that comparing all with all finds.
    @Test func nearDuplicatesAgreeWithAllPairs() {
        let hashes = (0..<300).map { index in
            // Every third image is one of those before with a little noise.
            let key = RandomKey(seed: 2).child(index)
            var image = picture(index % 3 == 2 ? index / 6 * 3 : index, width: 27, height: 24)
            if index % 3 == 2 {
                let amplitude = 4 + index % 30
                image = Image(
                    width: image.width, height: image.height, channels: 3,
                    pixels: image.pixels.enumerated().map {
                        UInt8(clamping: Int($1) + key.integer(below: amplitude, at: $0))
                    })
            }
            return PerceptualHash(image)
        }
        var joined: [Set<Int>] = []
        for i in hashes.indices {
            for j in 0..<i
            where (hashes[i].bits ^ hashes[j].bits).nonzeroBitCount <= NearDuplicates.distance
                && hashes[i].difference(hashes[j]) <= NearDuplicates.difference
            {
                let touching = joined.filter { $0.contains(i) || $0.contains(j) }
                joined.removeAll { touching.contains($0) }
                joined.append(touching.reduce([i, j]) { $0.union($1) })
            }
        }
        let expected = joined.map { $0.sorted() }.sorted { $0[0] < $1[0] }
        #expect(expected.count > 20)
        #expect(NearDuplicates.groups(hashes) == expected)
    }

    @Test func packsAndPixels() throws {
        let folder = try messy()
        let path = "\(folder.path)/out.apack"
        _ = try PackWriter.write(
            DataSets.openSplits(folder.path), to: path, options: PackOptions(encoding: .jpeg))
        let findings = try DataCheck.run(DataSets.openSplits(path), threads: 1)
        // A pack's names end as the files did that it was made of.
        #expect(findings.images == 15 && findings.problems.isEmpty)
        let raw = "\(folder.path)/raw.apack"
        _ = try PackWriter.write(
            DataSets.openSplits(folder.path), to: raw, options: PackOptions(encoding: .raw))
        let pixels = try DataCheck.run(DataSets.openSplits(raw), threads: 1)
        #expect(try pixels.mean == check(folder).mean)
        #expect(pixels.classes == findings.classes)
    }

    @Test func stopsWhenAsked() throws {
        struct Stop: Error {}
        let folder = try messy()
        #expect(throws: Stop.self) {
            try DataCheck.run(DataSets.openSplits(folder.path), threads: 3) { done, total in
                #expect(total == 15)
                if done == 4 { throw Stop() }
            }
        }
    }
}
