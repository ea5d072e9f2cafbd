import ApusData
import ApusTensor
import Foundation
import Testing

@Suite struct UnlabelledTests {
    private func write(_ folder: TemporaryFolder, _ names: [String]) throws {
        for name in names {
            try folder.write(
                ImageEncoder.encodePNG(noise(name, width: 6, height: 6, channels: 3)), to: name)
        }
    }

    @Test func foldersHoweverDeep() throws {
        let folder = try TemporaryFolder()
        try write(folder, ["b.png", "a/z.PNG", "a/deep/er/x.png", "c/y.png", "a/.hidden.png"])
        try folder.write([1], to: "a/notes.txt")
        #expect(symlink("..", "\(folder.path)/a/loop") == 0)
        #expect(symlink("c", "\(folder.path)/d") == 0)
        #expect(symlink("nowhere", "\(folder.path)/broken.jpg") == 0)
        #expect(mkfifo("\(folder.path)/pipe.jpg", 0o600) == 0)
        let source = try DataSets.open("unlabelled:\(folder.path)", split: .train)
        #expect(
            (0..<source.count).map(source.stableName(of:)) == [
                "a/deep/er/x.png", "a/z.PNG", "b.png", "broken.jpg", "c/y.png", "pipe.jpg",
            ])
        #expect(!source.hasLabels && source.label(at: 0) == -1)
        #expect(source.otherFiles == ["\(folder.path)/a/notes.txt"])
        _ = dataError(naming: "broken.jpg") { _ = try source.image(at: 3) }
        #expect(
            dataError(naming: "pipe.jpg") { _ = try source.image(at: 5) }.contains("not a file"))
        #expect(throws: DataError.self) {
            try DataSets.open("unlabelled:\(folder.path)", split: .test)
        }
    }

    @Test func foundByContent() throws {
        let folder = try TemporaryFolder()
        try write(folder, ["flat/1.png", "flat/2.png", "split/train/1.png", "split/test/2.png"])
        #expect(try DataSets.open("\(folder.path)/flat", split: .train).count == 2)
        #expect(try !DataSets.open("\(folder.path)/split", split: .train).hasLabels)
        #expect(try DataSets.open("\(folder.path)/split", split: .test).count == 1)
        try folder.write([1], to: "none/a.txt")
        let none = dataError(naming: "none") {
            _ = try DataSets.open("\(folder.path)/none", split: .train)
        }
        #expect(none.contains("no images among 1 files"))
    }

    @Test func labelsAreMinusOneInBatches() throws {
        let folder = try TemporaryFolder()
        try write(folder, (0..<5).map { "\($0).png" })
        let loader = try Loader(
            source: DataSets.open(folder.path, split: .train), preprocessing: .cifar,
            options: .evaluation(batchSize: 5))
        #expect(try loader.next()?.labels == [-1, -1, -1, -1, -1])
    }

    /// Random images, some of which cannot be read.
    private struct Pictures: ImageSource {
        var count: Int
        var broken: Set<Int>
        var imageShape: ImageShape? { nil }
        let classNames = ["a", "b", "c"]
        func label(at index: Int) -> Int { index % 3 }
        func name(of index: Int) -> String { "picture \(index)" }
        func image(at index: Int) throws -> Image {
            if broken.contains(index) {
                throw DataError(name(of: index), "is broken", remedy: "remove it")
            }
            return noise("picture \(index)", width: 8, height: 8, channels: 3)
        }
    }

    private func batches(
        _ source: Pictures, workers: Int, shuffles: Bool = true
    ) throws -> (batches: [Batch], broken: [BrokenImage]) {
        var options = LoaderOptions(
            batchSize: 10, shuffles: shuffles, dropsLast: false, seed: 3, endEpoch: 2,
            workers: workers)
        options.brokenImages = .replace
        let loader = try Loader(
            source: source, preprocessing: .cifar, augmentation: .cropAndFlip, options: options)
        var batches: [Batch] = []
        while let batch = try loader.next() { batches.append(batch) }
        return (batches, loader.broken)
    }

    @Test func brokenImagesAreReplacedByTheNext() throws {
        let source = Pictures(count: 100, broken: [0, 40, 41, 99])
        let one = try batches(source, workers: 1)
        #expect(one.broken.map(\.sample) == [0, 40, 41, 99])
        #expect(one.broken[1].reason == "picture 40: is broken; remove it")
        for workers in [2, 7] {
            let more = try batches(source, workers: workers)
            #expect(one.batches == more.batches)
            #expect(one.broken == more.broken)
        }
        for batch in one.batches {
            #expect(batch.labels == batch.samples.map { Int32($0 % 3) })
            #expect(!batch.samples.contains { source.broken.contains($0) })
        }
        let inOrder = try batches(source, workers: 2, shuffles: false).batches
        #expect(inOrder[0].samples == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        #expect(inOrder[4].samples.prefix(3) == [42, 42, 42])
        #expect(inOrder[9].samples.last == 1)
        // The stand-in is seen as the other would be: 0 and 1 are the same image changed differently.
        #expect(inOrder[0].images.elements[..<192] != inOrder[0].images.elements[192..<384])
        // Nothing broken, nothing changed.
        let whole = try batches(Pictures(count: 100, broken: []), workers: 3)
        #expect(whole.broken.isEmpty)
    }

    @Test(arguments: [1, 7]) func tooManyBrokenImagesAreAnError(workers: Int) throws {
        let few = try batches(Pictures(count: 100, broken: Set(10..<20)), workers: workers)
        #expect(few.broken.count == 10)
        for broken in [Set(10..<21), Set(0..<100)] {
            let message = dataError(naming: "data set") {
                _ = try batches(Pictures(count: 100, broken: broken), workers: workers)
            }
            #expect(message.contains("11 of 100") && message.contains("apus data check"))
        }
    }

    @Test func reportsWhatHoldsItBack() throws {
        var stages = StageTimes()
        #expect(
            LoaderReport(samples: 9, workers: 1, waitSeconds: 5, stages: stages)
                .explanation(images: 100, seconds: 10) == nil)
        var options = LoaderOptions(batchSize: 10, endEpoch: 3, workers: 2)
        options.measuresStages = true
        let loader = try Loader(
            source: Pictures(count: 40, broken: []), preprocessing: .cifar, options: options)
        while try loader.next() != nil {}
        stages = loader.report.stages
        #expect(loader.report.samples == 120 && stages.total > 0)
        let report = LoaderReport(samples: 120, workers: 2, waitSeconds: 5, stages: stages)
        let rate = Int((240 / stages.total).rounded())
        let stage = try #require(stages.longest)
        #expect(
            report.explanation(images: 100, seconds: 10)
                == "loader \(rate) images/s, engine needs 20, held back by \(stage.rawValue)")
        #expect(report.explanation(images: 100, seconds: 1000) == nil)
    }
}

@Suite struct HeldOutTests {
    @Test func stableAsFilesAreAdded() throws {
        let folder = try TemporaryFolder()
        let png = try ImageEncoder.encodePNG(gradient(width: 2, height: 2))
        for index in 0..<200 {
            try folder.write(png, to: "one/\(index % 2 == 0 ? "a" : "b")/\(index).png")
        }
        func names(_ path: String, _ split: Split) throws -> Set<String> {
            let source = try DataSets.open("validation=0.2:\(folder.path)/\(path)", split: split)
            #expect(source.classNames.prefix(2) == ["a", "b"])
            return Set((0..<source.count).map(source.stableName(of:)))
        }
        let train = try names("one", .train)
        let test = try names("one", .test)
        #expect(train.count + test.count == 200 && train.isDisjoint(with: test))
        #expect((20...60).contains(test.count))
        for index in 0..<50 { try folder.write(png, to: "one/a/new\(index).png") }
        try folder.write(png, to: "one/c/x.png")
        #expect(try names("one", .test).isSuperset(of: test))
        #expect(try names("one", .train).isSuperset(of: train))
        // Moved elsewhere.
        try FileManager.default.moveItem(
            atPath: "\(folder.path)/one", toPath: "\(folder.path)/two")
        #expect(try names("two", .test).isSuperset(of: test))
        for bad in ["validation=0:x", "validation=1:x", "validation=abc:x", "validation=0.1"] {
            _ = dataError(naming: bad) { _ = try DataSets.open(bad, split: .train) }
        }
        try folder.write(png, to: "tiny/a.png")
        let tiny = dataError(naming: "tiny") {
            for split in Split.allCases {
                _ = try DataSets.open("validation=0.5:\(folder.path)/tiny", split: split)
            }
        }
        #expect(tiny.contains("too few images"))
    }
}
