import ApusTensor
import Foundation

/// Makes batches ahead of time on threads of its own, and hands them out in order.
///
/// The batches depend on the source and the options alone, never on the number of workers or on
/// timing. `next()` is meant for one thread.
public final class Loader {
    public let options: LoaderOptions
    /// The number of batches in an epoch.
    public let batchesPerEpoch: Int
    /// What every image of every batch looks like.
    public let imageShape: ImageShape
    /// The seconds `next()` has waited for batches so far.
    public private(set) var waitSeconds: Double = 0

    private let queue: BatchQueue

    /// Starts the threads. Images are augmented where `augmentation` is given.
    ///
    /// Throws if source, preprocessing and options do not fit together.
    public convenience init(
        source: any ImageSource, preprocessing: Preprocessing, augmentation: Augmentation? = nil,
        options: LoaderOptions
    ) throws {
        try self.init(
            source: source, preprocessing: preprocessing, augmentations: [augmentation],
            options: options)
    }

    /// Starts the threads. Batches hold every sample once for each of `views`, each time changed
    /// in another way: all first views, then all second ones.
    ///
    /// Throws if source, preprocessing, views and options do not fit together.
    public convenience init(
        source: any ImageSource, preprocessing: Preprocessing, views: [Augmentation],
        options: LoaderOptions
    ) throws {
        guard !views.isEmpty else {
            throw DataError("views", "there are none", remedy: "give one augmentation a view")
        }
        try self.init(
            source: source, preprocessing: preprocessing, augmentations: views, options: options)
    }

    private init(
        source: any ImageSource, preprocessing: Preprocessing, augmentations: [Augmentation?],
        options: LoaderOptions
    ) throws {
        let order = try SampleOrder(count: source.count, options: options)
        let output = try Self.outputSize(
            source, preprocessing, isCut: augmentations.contains { $0?.randomResizedCrop != nil },
            options.brokenImages)
        let views = try augmentations.map { augmentation in
            try ImageTransform(
                preprocessing: preprocessing, augmentation: augmentation, output: output)
        }
        let shape = ImageShape(
            channels: preprocessing.channels, height: output.height, width: output.width)
        let queue = BatchQueue(order: order, shape: shape, views: views.count)
        let register = BrokenRegister()
        for worker in 0..<options.workers {
            queue.enter()
            let thread = Thread {
                Self.work(source, views, options, register, queue)
                queue.leave()
            }
            thread.name = "apus-loader-\(worker)"
            thread.start()
        }
        self.options = options
        self.queue = queue
        batchesPerEpoch = order.batchesPerEpoch
        imageShape = shape
    }

    deinit { queue.stop() }

    /// Waits for the next batch; nil after the last one of the last epoch, or after `stop()`.
    ///
    /// Throws what went wrong with the first bad image of the batch, and again if called again.
    public func next() throws -> Batch? {
        let clock = ContinuousClock()
        let start = clock.now
        defer { waitSeconds += (clock.now - start) / .seconds(1) }
        return try queue.take()
    }

    /// Waits until as many batches are made as are made ahead, so that the workers rest.
    package func waitUntilFull() { queue.waitUntilFull() }

    /// The seconds all workers together have spent on every stage so far; zero unless
    /// `options.measuresStages`.
    public var stageTimes: StageTimes { queue.work.times }

    /// How fast images come, and what holds them back; rates need `options.measuresStages`.
    public var report: LoaderReport {
        let (stages, samples) = queue.work
        return LoaderReport(
            samples: samples, workers: options.workers, waitSeconds: waitSeconds, stages: stages)
    }

    /// Images that were replaced in the batches handed out so far, each once, in the order of the
    /// source; empty unless `options.brokenImages` is `.replace`.
    public var broken: [BrokenImage] { queue.brokenImages }

    /// The place of the batch that `next()` gives next: what a checkpoint has to remember.
    public var position: LoaderPosition { queue.position }

    /// Ends the threads and waits for them. Happens by itself when the loader is released.
    public func stop() { queue.stop() }

    /// The size all images get, if need be from the first image.
    private static func outputSize(
        _ source: any ImageSource, _ preprocessing: Preprocessing, isCut: Bool,
        _ brokenImages: BrokenImages
    ) throws -> ImageSize {
        try preprocessing.validate()
        if let crop = preprocessing.crop { return crop }
        if case .exact(let size) = preprocessing.resize { return size }
        if let shape = source.imageShape {
            return preprocessing.resize.size(of: shape.size)
        }
        guard !isCut else {
            throw DataError(
                "augmentation", "randomResizedCrop does not know the size to resize to",
                remedy: "set a crop or an exact size in the preprocessing")
        }
        var size = ImageSize(1)
        func look(_ index: Int) throws {
            let image = try source.image(at: index)
            size = image.size
        }
        switch brokenImages {
        case .stop: try look(0)
        case .replace:
            var broken: [BrokenImage] = []
            _ = try BrokenRegister().replacing(0, of: source.count, &broken, look)
        }
        return preprocessing.resize.size(of: size)
    }

    /// What a worker does until the queue ends.
    private static func work(
        _ source: any ImageSource, _ views: [ImageTransform], _ options: LoaderOptions,
        _ register: BrokenRegister, _ queue: BatchQueue
    ) {
        let maker = ViewMaker(views, decoder: source.decoder)
        if options.measuresStages { maker.scratch.clock = StageClock() }
        while let chunk = queue.claim() {
            var outcome = BatchQueue.Outcome()
            maker.scratch.clock?.start()
            for (position, sample) in zip(chunk.range, chunk.samples) {
                // A sample that stands in for another is seen as the other would be: its own views
                // may be in the same batch.
                func make(_ shown: Int) throws {
                    let stored = try source.stored(at: shown)
                    maker.scratch.clock?.mark(.read)
                    try maker.make(stored, name: source.name(of: shown)) { view in
                        views[view].augmentation == nil
                            ? nil
                            : Augmentation.key(
                                seed: options.seed, epoch: chunk.epoch, sample: sample, view: view)
                    } to: { view in
                        chunk.memory
                            + (view * chunk.batchCount + position) * views[view].count
                    }
                }
                do {
                    var shown = sample
                    switch options.brokenImages {
                    case .stop: try make(sample)
                    case .replace:
                        shown = try register.replacing(
                            sample, of: source.count, &outcome.broken, make)
                    }
                    if shown != sample { outcome.replaced.append((position, shown)) }
                    (chunk.labels + position).initialize(to: try label(of: shown, in: source))
                } catch {
                    outcome.failure = (position, error)
                    break
                }
            }
            queue.finish(chunk, outcome)
            maker.scratch.clock?.mark(.batch)
            if let times = maker.scratch.clock?.take() { queue.add(times) }
        }
    }

    /// The checked label of a sample; -1 where images have no labels.
    private static func label(of sample: Int, in source: any ImageSource) throws -> Int32 {
        guard source.hasLabels else { return -1 }
        let label = source.label(at: sample)
        guard (0..<source.classNames.count).contains(label) else {
            throw DataError(
                source.name(of: sample),
                "has label \(label) of \(source.classNames.count) classes",
                remedy: "correct the label or name more classes")
        }
        return Int32(label)
    }
}
