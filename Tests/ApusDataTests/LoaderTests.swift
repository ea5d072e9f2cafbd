import ApusData
import ApusTensor
import Foundation
import Testing

@Suite struct LoaderTests {
    /// Random images in memory; the one at `broken` cannot be read.
    private struct Pictures: ImageSource {
        var count: Int
        var broken: Int?
        var imageShape: ImageShape? = ImageShape(channels: 3, height: 12, width: 10)
        var classNames = ["even", "odd"]

        func label(at index: Int) -> Int { index % 2 }
        func name(of index: Int) -> String { "picture \(index)" }
        func image(at index: Int) throws -> Image {
            if index == broken {
                throw DataError(name(of: index), "is broken", remedy: "remove it")
            }
            return noise("picture \(index)", width: 10, height: 12, channels: 3)
        }
    }

    private func loader(
        _ options: LoaderOptions, _ source: any ImageSource = Pictures(count: 103),
        preprocessing: Preprocessing = .cifar
    ) throws -> Loader {
        try Loader(
            source: source, preprocessing: preprocessing,
            augmentation: options.shuffles ? .cropAndFlip : nil, options: options)
    }

    private func all(_ loader: Loader) throws -> [Batch] {
        var batches: [Batch] = []
        while let batch = try loader.next() { batches.append(batch) }
        return batches
    }

    @Test func batchesDoNotDependOnTheWorkers() throws {
        var results: [[Batch]] = []
        for workers in [1, 2, 7] {
            let options = LoaderOptions(batchSize: 20, seed: 4, endEpoch: 3, workers: workers)
            results.append(try all(loader(options)))
        }
        #expect(results[0].count == 15)
        #expect(results[0] == results[1])
        #expect(results[0] == results[2])
        #expect(results[0].map(\.epoch) == (0..<15).map { $0 / 5 })
        #expect(results[0].map(\.index) == (0..<15).map { $0 % 5 })
        #expect(results[0].allSatisfy { $0.images.shape == [20, 3, 12, 10] })
        for batch in results[0] {
            #expect(batch.labels == batch.samples.map { Int32($0 % 2) })
        }
        let other = LoaderOptions(batchSize: 20, seed: 5, endEpoch: 3)
        #expect(try all(loader(other)) != results[0])
    }

    @Test(arguments: Views.names) func viewsDoNotDependOnTheWorkers(name: String) throws {
        let views = try Views.named(name)
        var results: [[Batch]] = []
        for workers in [1, 2, 7] {
            let options = LoaderOptions(
                batchSize: 20, dropsLast: false, seed: 4, endEpoch: 2, workers: workers)
            results.append(
                try all(
                    Loader(
                        source: Pictures(count: 103), preprocessing: .cifar, views: views,
                        options: options)))
        }
        #expect(results[0] == results[1])
        #expect(results[0] == results[2])
        let batch = results[0][5]
        #expect(batch.views == views.count && batch.labels.count == 3)
        #expect(batch.images.shape == [3 * views.count, 3, 12, 10])
        let images = stride(from: 0, to: batch.images.elements.count, by: 360).map {
            Array(batch.images.elements[$0..<($0 + 360)])
        }
        #expect(Set(images).count == 3 * views.count)
        #expect(images.joined().allSatisfy { $0.isFinite })
    }

    /// The place of a view in the batch, and that it depends on nothing but its own key.
    @Test func viewsLieBehindEachOther() throws {
        let plain = Augmentation()
        let options = LoaderOptions(batchSize: 20, seed: 4, endEpoch: 1)
        func images(_ views: [Augmentation]) throws -> [Float] {
            let loader = try Loader(
                source: Pictures(count: 103), preprocessing: .cifar, views: views,
                options: options)
            return try #require(try loader.next()).images.elements
        }
        let first = try images([.cropAndFlip])
        let both = try images([.cropAndFlip, plain])
        let reversed = try images([plain, .cropAndFlip])
        let count = first.count
        #expect(Array(both[..<count]) == first)
        let plainly = try images([plain])
        #expect(Array(both[count...]) == plainly)
        #expect(Array(reversed[count...]) != first)
        let twice = try images([.cropAndFlip, .cropAndFlip])
        #expect(twice[count...] == reversed[count...])
        _ = dataError(naming: "views") { _ = try images([]) }
    }

    @Test func restsWhenBatchesAreMadeAhead() throws {
        let loader = try loader(LoaderOptions(batchSize: 20, seed: 4, endEpoch: 2, prefetch: 2))
        for taken in 0..<3 {
            loader.waitUntilFull()
            #expect(loader.report.samples == 20 * (taken + 2))
            _ = try loader.next()
        }
        // There are fewer left than could be made ahead.
        while try loader.next() != nil { loader.waitUntilFull() }
        #expect(loader.report.samples == 20 * 2 * loader.batchesPerEpoch)
    }

    @Test func resumesInTheMiddleOfAnEpoch() throws {
        var options = LoaderOptions(batchSize: 20, seed: 4, endEpoch: 3)
        let whole = try all(loader(options))
        let interrupted = try loader(options)
        for _ in 0..<7 { _ = try interrupted.next() }
        #expect(interrupted.position == LoaderPosition(epoch: 1, batch: 2))
        options.start = interrupted.position
        interrupted.stop()
        #expect(try interrupted.next() == nil)
        #expect(try all(loader(options)) == Array(whole[7...]))
        options.start = LoaderPosition(epoch: 1, batch: 5)
        #expect(try all(loader(options)) == Array(whole[10...]))
    }

    @Test func everyImageOnceAnEpoch() throws {
        let options = LoaderOptions(batchSize: 20, dropsLast: false, seed: 4, endEpoch: 2)
        let batches = try all(loader(options))
        #expect(batches.map(\.labels.count) == [20, 20, 20, 20, 20, 3, 20, 20, 20, 20, 20, 3])
        let first = batches[..<6].flatMap(\.samples)
        let second = batches[6...].flatMap(\.samples)
        #expect(first.sorted() == Array(0..<103))
        #expect(second.sorted() == Array(0..<103))
        #expect(first != second && first != Array(0..<103))
    }

    @Test func measuringGoesThroughInOrder() throws {
        let loader = try loader(.evaluation(batchSize: 40, workers: 3))
        #expect(loader.batchesPerEpoch == 3)
        let batches = try all(loader)
        #expect(batches.flatMap(\.samples) == Array(0..<103))
        #expect(batches.last?.images.shape == [23, 3, 12, 10])
        #expect(try loader.next() == nil)
        #expect(loader.waitSeconds > 0)
        let image = try Pictures(count: 103).image(at: 41)
        let wanted = (Float(image.pixels[0]) / 255 - 0.4914) / 0.2470
        #expect(abs(batches[1].images.elements[360] - wanted) < 1e-5)
    }

    @Test(arguments: [1, 2, 7]) func errorsComeInTheirPlace(workers: Int) throws {
        let source = Pictures(count: 103, broken: 50)
        var options = LoaderOptions.evaluation(batchSize: 20, workers: workers)
        options.prefetch = 5
        let loader = try loader(options, source)
        #expect(try loader.next()?.index == 0)
        #expect(try loader.next()?.index == 1)
        for _ in 0..<2 {
            let message = dataError(naming: "picture 50") { _ = try loader.next() }
            #expect(message.contains("broken"))
        }
    }

    @Test func releasedLoadersEndTheirThreads() throws {
        for workers in [1, 7] {
            for taken in 0..<3 {
                let loader = try loader(LoaderOptions(batchSize: 5, workers: workers))
                for _ in 0..<taken { #expect(try loader.next() != nil) }
            }
        }
    }

    @Test func optionsThatDoNotFit() throws {
        func message(_ options: LoaderOptions, count: Int = 10) -> String {
            dataError(naming: "loader") { _ = try loader(options, Pictures(count: count)) }
        }
        let large = message(LoaderOptions(batchSize: 11))
        #expect(large.contains("11") && large.contains("10 images"))
        #expect(message(LoaderOptions(batchSize: 0)).contains("batch size is 0"))
        #expect(message(LoaderOptions(batchSize: 2, workers: 0)).contains("workers"))
        #expect(message(LoaderOptions(batchSize: 2, prefetch: 0)).contains("prefetch"))
        #expect(message(.evaluation(batchSize: 2), count: 0).contains("no images"))
        let late = LoaderOptions(batchSize: 5, start: LoaderPosition(epoch: 1, batch: 3))
        #expect(message(late).contains("epoch 1, batch 3 of 2"))
    }

    @Test func foldersOfDifferentImages() throws {
        let folder = try TemporaryFolder()
        for (name, width) in [("a/1.png", 12), ("a/2.png", 12), ("b/1.png", 13), ("b/2.png", 3)] {
            let image = noise(name, width: width, height: 9, channels: width == 12 ? 3 : 1)
            try folder.write(try ImageEncoder.encodePNG(image), to: name)
        }
        let source = try DataSets.open(folder.path, split: .train)
        let options = LoaderOptions.evaluation(batchSize: 4)
        var preprocessing = Preprocessing.cifar
        let different = dataError(naming: "b/1.png") {
            _ = try all(loader(options, source, preprocessing: preprocessing))
        }
        #expect(different.contains("9x13") && different.contains("9x12"))
        preprocessing.crop = ImageSize(8)
        let small = dataError(naming: "b/2.png") {
            _ = try all(loader(options, source, preprocessing: preprocessing))
        }
        #expect(small.contains("9x3"))
        preprocessing.resize = .shortSide(10)
        let batches = try all(loader(options, source, preprocessing: preprocessing))
        #expect(batches.map(\.images.shape) == [[4, 3, 8, 8]])

        try folder.write(Array("just text".utf8), to: "a/3.png")
        let text = dataError(naming: "a/3.png") {
            let source = try DataSets.open(folder.path, split: .train)
            _ = try all(loader(options, source, preprocessing: preprocessing))
        }
        #expect(text.contains("just text"))
    }
}
