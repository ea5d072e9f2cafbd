import ApusData
import Foundation
import Testing

@Suite struct SourceTests {
    /// Three 2x3 images of classes 1, 0, 2 as the two files of a split.
    private func writeIDX(
        _ folder: TemporaryFolder, prefix: String = "train", ending: String = "",
        labels: [UInt8] = [1, 0, 2]
    ) throws {
        let images: [UInt8] =
            [0, 0, 8, 3] + [labels.count, 2, 3].flatMap(bigEndian)
            + (0..<UInt8(labels.count * 6))
        let classes: [UInt8] = [0, 0, 8, 1] + bigEndian(labels.count) + labels
        for (bytes, name) in [(images, "images-idx3"), (classes, "labels-idx1")] {
            try folder.write(
                ending == ".gz" ? gzip(bytes) : bytes, to: "\(prefix)-\(name)-ubyte\(ending)")
        }
    }

    @Test(arguments: ["", ".gz"]) func idxFiles(ending: String) throws {
        let folder = try TemporaryFolder()
        try writeIDX(folder, ending: ending)
        try writeIDX(folder, prefix: "t10k", ending: ending, labels: [0])
        let source = try DataSets.open(folder.path, split: .train)
        #expect(source.count == 3)
        #expect(source.imageShape == ImageShape(channels: 1, height: 2, width: 3))
        #expect((0..<3).map(source.label(at:)) == [1, 0, 2])
        #expect(try source.image(at: 1).pixels == [6, 7, 8, 9, 10, 11])
        #expect(source.classNames == ["0", "1", "2"])
        let test = try DataSets.open(folder.path + "/", split: .test)
        #expect(test.count == 1)
        #expect(test.classNames == source.classNames)
        #expect(try DataSets.open("mnist:\(folder.path)", split: .test).classNames.count == 10)
        let fashion = try DataSets.open("fashion-mnist:\(folder.path)", split: .train)
        #expect(fashion.classNames.last == "Ankle boot")
    }

    @Test func brokenIDXFiles() throws {
        let folder = try TemporaryFolder()
        let labels = try folder.write([0, 0, 8, 1, 0, 0, 0, 2, 0, 9], to: "labels")
        let header: [UInt8] = [0, 0, 8, 3] + [2, 2, 2].flatMap(bigEndian)
        let good = try folder.write(header + [UInt8](repeating: 1, count: 8), to: "good")
        #expect(try IDXSource(images: good, labels: labels).count == 2)
        func message(_ images: [UInt8], name: String = "bad") throws -> String {
            let path = try folder.write(images, to: name)
            return dataError(naming: path) { _ = try IDXSource(images: path, labels: labels) }
        }
        #expect(try message(header + [1, 2, 3]).contains("cut short"))
        #expect(try message(header + .init(repeating: 1, count: 9)).contains("too long"))
        #expect(try message(Array(header.prefix(9))).contains("header"))
        #expect(try message([]).contains("not an IDX file"))
        #expect(try message(Array("hello".utf8)).contains("not an IDX file"))
        #expect(try message([0, 0, 0x0D, 3] + header.dropFirst(4)).contains("type 13"))
        #expect(try message([0, 0, 8, 1] + header.dropFirst(4)).contains("dimensions"))
        let huge = [0, 0, 8, 3] + [UInt8](repeating: 255, count: 12)
        #expect(try message(huge).contains("impossible"))
        let packed = gzip(header + [UInt8](repeating: 1, count: 8))
        #expect(try message(packed.dropLast(9), name: "cut.gz").contains("cut short"))
        #expect(try message(header, name: "plain.gz").contains("gzip"))
        let outOfRange = dataError(naming: "labels[1]") {
            _ = try IDXSource(images: good, labels: labels, classNames: ["a", "b"])
        }
        #expect(outOfRange.contains("label 9"))
        let fewer = try folder.write([0, 0, 8, 1, 0, 0, 0, 1, 0], to: "fewer")
        let mismatch = dataError(naming: "fewer") {
            _ = try IDXSource(images: good, labels: fewer)
        }
        #expect(mismatch.contains("1 labels for 2 images"))
    }

    @Test func cifar10() throws {
        let folder = try TemporaryFolder()
        let pixels = (0..<3072).map { (i: Int) -> UInt8 in UInt8((i / 1024) * 10 + i % 10) }
        for batch in 1...5 {
            let records: [UInt8] = [UInt8(batch)] + pixels + [0] + Array(pixels.reversed())
            try folder.write(records, to: "data_batch_\(batch).bin")
        }
        let source = try DataSets.open(folder.path, split: .train)
        #expect(source.count == 10)
        #expect(source.label(at: 4) == 3)
        #expect(source.label(at: 5) == 0)
        #expect(source.classNames[3] == "cat")
        let image = try source.image(at: 4)
        #expect(Array(image.pixels.prefix(6)) == [0, 14, 28, 1, 15, 29])
        #expect(source.name(of: 5).hasSuffix("data_batch_3.bin[1]"))
        #expect(source.imageShape == ImageShape(channels: 3, height: 32, width: 32))

        let missing = dataError(naming: "test_batch.bin") {
            _ = try DataSets.open("cifar10:\(folder.path)", split: .test)
        }
        #expect(missing.contains("no test split"))
        try folder.write([10] + pixels, to: "test_batch.bin")
        let label = dataError(naming: "test_batch.bin[0]") {
            _ = try DataSets.open(folder.path, split: .test)
        }
        #expect(label.contains("label 10"))
        try folder.write([1] + pixels.dropLast(), to: "test_batch.bin")
        let size = dataError(naming: "test_batch.bin") {
            _ = try DataSets.open(folder.path, split: .test)
        }
        #expect(size.contains("3073"))
        try folder.write(Array("a\nb\n".utf8), to: "batches.meta.txt")
        let names = dataError(naming: "batches.meta.txt") {
            _ = try DataSets.open(folder.path, split: .train)
        }
        #expect(names.contains("2 classes, not 10"))
    }

    @Test func cifar100() throws {
        let folder = try TemporaryFolder()
        let pixels = [UInt8](repeating: 7, count: 3072)
        let inside = "cifar-100-binary"
        try folder.write([19, 99] + pixels + [0, 5] + pixels, to: "\(inside)/train.bin")
        try folder.write([1, 2] + pixels, to: "\(inside)/test.bin")
        let names = (0..<100).map { "name \($0)\n" }.joined()
        try folder.write(Array(names.utf8), to: "\(inside)/fine_label_names.txt")
        let source = try DataSets.open(folder.path, split: .train)
        #expect((0..<2).map(source.label(at:)) == [99, 5])
        #expect(source.classNames[99] == "name 99")
        #expect(try DataSets.open("cifar100:\(folder.path)", split: .test).count == 1)
        let coarse = try CIFARSource(
            directory: folder.path, kind: .cifar100, split: .train, coarse: true)
        #expect((0..<2).map(coarse.label(at:)) == [19, 0])
        #expect(coarse.classNames.count == 20)
    }

    @Test func classFolders() throws {
        let folder = try TemporaryFolder()
        let image = gradient(width: 8, height: 6)
        let jpeg = try ImageEncoder.encodeJPEG(image)
        let png = try ImageEncoder.encodePNG(image)
        try folder.write(png, to: "train/dog/b.PNG")
        try folder.write(jpeg, to: "train/dog/a.jpg")
        try folder.write(jpeg, to: "train/cat/z.JPEG")
        try folder.write(jpeg, to: "train/cat/.hidden.jpg")
        try folder.write(Array("notes".utf8), to: "train/cat/notes.txt")
        try folder.write(png, to: "val/dog/c.png")
        let source = try FolderSource(directory: folder.path + "/train")
        #expect(source.classNames == ["cat", "dog"])
        #expect((0..<source.count).map(source.label(at:)) == [0, 1, 1])
        #expect(source.name(of: 1).hasSuffix("train/dog/a.jpg"))
        #expect(source.otherFiles.map { ($0 as NSString).lastPathComponent } == ["notes.txt"])
        #expect(try source.image(at: 2) == image)
        #expect(try DataSets.open(folder.path, split: .train).count == 3)
        let test = try DataSets.open("folder:\(folder.path)", split: .test)
        #expect(test.classNames == ["cat", "dog"])
        #expect((0..<test.count).map(test.label(at:)) == [1])

        let noTest = dataError(naming: "train") {
            _ = try DataSets.open(folder.path + "/train", split: .test)
        }
        #expect(noTest.contains("no test split") && noTest.contains("hold out"))
        try folder.write(png, to: "val/horse/c.png")
        let stranger = dataError(naming: "val/horse") {
            _ = try DataSets.open(folder.path, split: .test)
        }
        #expect(stranger.contains("not a class"))
        try folder.makeFolder("train/empty")
        let empty = dataError(naming: "train/empty") {
            _ = try DataSets.open(folder.path, split: .train)
        }
        #expect(empty.contains("\"empty\""))
    }

    @Test func foldersThatAreNone() throws {
        let folder = try TemporaryFolder()
        let none = dataError(naming: folder.path) {
            _ = try DataSets.open(folder.path, split: .train)
        }
        #expect(none.contains("is an empty folder"))
        let missing = dataError(naming: "/nowhere/pictures") {
            _ = try DataSets.open("/nowhere/pictures", split: .train)
        }
        #expect(missing.contains("neither a folder nor a file"))
        let source = dataError(naming: "/nowhere") { _ = try FolderSource(directory: "/nowhere") }
        #expect(source.contains("does not exist"))
        let file = try folder.write([1], to: "file")
        let notAFolder = dataError(naming: file) { _ = try DataSets.open(file, split: .train) }
        #expect(notAFolder.contains("is not a folder"))
        let noFiles = dataError(naming: folder.path) {
            _ = try DataSets.open("mnist:\(folder.path)", split: .test)
        }
        #expect(noFiles.contains("t10k-images-idx3-ubyte.gz"))
    }

    @Test func installedFashionMNIST() throws {
        let isInstalled = FileManager.default.fileExists(
            atPath: "/usr/share/datasets/fashion-mnist")
        guard isInstalled else {
            let message = dataError(naming: "fashion-mnist") {
                _ = try DataSets.open("fashion-mnist", split: .test)
            }
            #expect(message.contains("apt-get install dataset-fashion-mnist"))
            return
        }
        let source = try DataSets.open("fashion-mnist", split: .test)
        #expect(source.count == 10_000)
        #expect(source.classNames[9] == "Ankle boot")
        #expect(source.label(at: 0) == 9)
    }
}
