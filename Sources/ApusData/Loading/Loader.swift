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
            source, preprocessing, isCut: augmentations.contains { $0?.randomResizedCrop != nil })
        let views = try augmentations.map { augmentation in
            try ImageTransform(
                preprocessing: preprocessing, augmentation: augmentation, output: output)
        }
        let shape = ImageShape(
            channels: preprocessing.channels, height: output.height, width: output.width)
        let queue = BatchQueue(order: order, shape: shape, views: views.count)
        for worker in 0..<options.workers {
            queue.enter()
            let thread = Thread {
                Self.work(
                    source, views, seed: options.seed, measures: options.measuresStages, queue)
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

    /// The seconds all workers together have spent on every stage so far; zero unless
    /// `options.measuresStages`.
    public var stageTimes: StageTimes { queue.times }

    /// The place of the batch that `next()` gives next: what a checkpoint has to remember.
    public var position: LoaderPosition { queue.position }

    /// Ends the threads and waits for them. Happens by itself when the loader is released.
    public func stop() { queue.stop() }

    /// The size all images get, if need be from the first image.
    private static func outputSize(
        _ source: any ImageSource, _ preprocessing: Preprocessing, isCut: Bool
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
        let first = try source.image(at: 0)
        return preprocessing.resize.size(
            of: ImageSize(height: first.height, width: first.width))
    }

    /// What a worker does until the queue ends.
    private static func work(
        _ source: any ImageSource, _ views: [ImageTransform], seed: UInt64, measures: Bool,
        _ queue: BatchQueue
    ) {
        let maker = ViewMaker(views)
        if measures { maker.scratch.clock = StageClock() }
        let classes = source.classNames.count
        while let chunk = queue.claim() {
            var failure: (position: Int, error: any Error)?
            maker.scratch.clock?.start()
            for (position, sample) in zip(chunk.range, chunk.samples) {
                do {
                    let label = source.label(at: sample)
                    guard (0..<classes).contains(label) else {
                        throw DataError(
                            source.name(of: sample), "has label \(label) of \(classes) classes",
                            remedy: "correct the label or name more classes")
                    }
                    (chunk.labels + position).initialize(to: Int32(label))
                    let stored = try source.stored(at: sample)
                    maker.scratch.clock?.mark(.read)
                    try maker.make(stored, name: source.name(of: sample)) { view in
                        views[view].augmentation == nil
                            ? nil
                            : Augmentation.key(
                                seed: seed, epoch: chunk.epoch, sample: sample, view: view)
                    } to: { view in
                        chunk.memory
                            + (view * chunk.batchCount + position) * views[view].count
                    }
                } catch {
                    failure = (position, error)
                    break
                }
            }
            queue.finish(chunk, failure: failure)
            maker.scratch.clock?.mark(.batch)
            if let times = maker.scratch.clock?.take() { queue.add(times) }
        }
    }
}
