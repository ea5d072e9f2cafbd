import Apus
import ArgumentParser
import Foundation

struct BenchData: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Times the way from files to augmented batches, without a network.",
        discussion: """
            An example is an image in all its views. Small images are decoded once, before the \
            timing, and kept in memory; --cache 0 decodes them each time.
            Example: apus bench data --data photos --views simclr --side 224 --workers 1 --explain
            """)

    @Option(help: "A data set as for training, or a folder of pictures without class folders.")
    var data: String

    @Option(help: "What is done: \(Views.names.joined(separator: ", ")).")
    var views = "simclr"

    @Option(help: "Height and width of the views.")
    var side = 224

    @Option(help: "Threads that decode and augment.")
    var workers = 1

    @Option(help: "Images in a batch; 256 up to 64 pixels, else 16.")
    var batch: Int?

    @Option(help: "Seconds to measure, after two batches that are not.")
    var seconds = 5.0

    @Option(help: "MiB of decoded images to keep; 512 for small images, 0 for others.")
    var cache: Int?

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Flag(help: "Print the share of every stage as a table.")
    var explain = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        try require(side, in: 1...4096, "--side")
        try require(workers, in: 1...1024, "--workers")
        try require(batch, in: 1...65_536, "--batch")
        try require(seconds, in: 0.01...3600, "--seconds")
        try require(cache, in: 0...1_048_576, "--cache")
        guard Views.names.contains(views) else {
            throw ValidationError(
                "--views must be one of \(Views.names.joined(separator: ", ")), not \(views)")
        }
    }

    func run() throws {
        let source = try open()
        let cacheSeconds = try fill(source)
        let channels = source.imageShape?.channels ?? 3
        var preprocessing = Preprocessing.imageNet(resize: side, crop: side)
        if channels == 1 {
            preprocessing.channels = 1
            preprocessing.mean = Preprocessing.fashionMNIST.mean
            preprocessing.deviation = Preprocessing.fashionMNIST.deviation
        }
        let augmentations = try Views.named(views)
        var options = LoaderOptions(
            batchSize: min(batch ?? (side <= 64 ? 256 : 16), source.count), workers: workers)
        options.measuresStages = true
        let loader = try Loader(
            source: source, preprocessing: preprocessing, views: augmentations, options: options)
        for _ in 0..<2 { _ = try loader.next() }

        let clock = ContinuousClock()
        let start = clock.now
        let startTimes = loader.stageTimes
        let startProcessor = Self.processorSeconds
        var examples = 0
        var elapsed = 0.0
        while elapsed < seconds, let batch = try loader.next() {
            examples += batch.labels.count
            elapsed = (clock.now - start) / .seconds(1)
        }
        let times = loader.stageTimes - startTimes
        loader.stop()
        let result = DataBenchResult(
            data: data, views: views, side: side, workers: workers, batch: options.batchSize,
            images: source.count, examples: examples, seconds: elapsed,
            examples_per_second: Double(examples) / elapsed,
            examples_per_processor_second:
                Double(examples) / (Self.processorSeconds - startProcessor),
            cached_images: (source as? CachedSource)?.contents.count ?? 0,
            cached_mib: Double((source as? CachedSource)?.contents.bytes ?? 0) / 1_048_576,
            cache_seconds: cacheSeconds, note: augmentations[0].adaptationNote(channels: channels),
            shares: Dictionary(
                uniqueKeysWithValues: LoadingStage.allCases.map {
                    ($0.rawValue, times[$0] / max(times.total, .leastNormalMagnitude))
                }))
        if json { try printJSON(result) } else { print(result.line) }
        if explain {
            result.table.print()
            if let stage = times.longest { print("held back by \(stage.rawValue)") }
        }
    }

    /// The processor time of all threads of this process.
    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
    }

    private func open() throws -> any ImageSource {
        decoding.apply()
        let source = try DataSets.open(data, split: .train)
        guard let cache else { return try CachedSource.forSmallImages(source) }
        return cache == 0 ? source : CachedSource(source, limit: cache << 20)
    }

    /// Reads every image of a cached source once; the seconds that takes.
    private func fill(_ source: any ImageSource) throws -> Double {
        guard source is CachedSource else { return 0 }
        let clock = ContinuousClock()
        return try clock.measure {
            for index in 0..<source.count { _ = try source.stored(at: index) }
        } / .seconds(1)
    }
}

/// The names are those other tools read.
private struct DataBenchResult: Encodable {
    var data: String
    var views: String
    var side: Int
    var workers: Int
    var batch: Int
    var images: Int
    var examples: Int
    var seconds: Double
    var examples_per_second: Double
    /// Of all threads together, which other processes on the machine do not change as much.
    var examples_per_processor_second: Double
    var cached_images: Int
    var cached_mib: Double
    /// What decoding all images once took, before the timing.
    var cache_seconds: Double
    var note: String?
    var shares: [String: Double]

    var line: String {
        var text = String(
            format: "%@ %dx%d, %d %@: %.0f examples/s (%.0f a second of processor time)", views,
            side, side, workers, workers == 1 ? "worker" : "workers", examples_per_second,
            examples_per_processor_second)
        if cached_images > 0 {
            text += String(
                format: "\n%d of %d images decoded beforehand in %.1f s and kept, %.0f MiB",
                cached_images, images, cache_seconds, cached_mib)
        }
        if let note { text += "\n" + note }
        return text
    }

    var table: Table {
        let microseconds = 1e6 * Double(workers) / examples_per_second
        var table = Table(("stage", .left), ("share", .right), ("us an example", .right))
        for stage in LoadingStage.allCases {
            guard let share = shares[stage.rawValue], share > 0 else { continue }
            table.add(
                stage.rawValue, String(format: "%.1f %%", 100 * share),
                String(format: "%.1f", share * microseconds))
        }
        return table
    }
}
