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
    public init(
        source: any ImageSource, preprocessing: Preprocessing, augmentation: Augmentation? = nil,
        options: LoaderOptions
    ) throws {
        let order = try SampleOrder(count: source.count, options: options)
        let transform = try ImageTransform(
            preprocessing: preprocessing, augmentation: augmentation,
            output: Self.outputSize(source, preprocessing, augmentation))
        let shape = ImageShape(
            channels: preprocessing.channels, height: transform.output.height,
            width: transform.output.width)
        let queue = BatchQueue(order: order, shape: shape)
        for worker in 0..<options.workers {
            queue.enter()
            let thread = Thread {
                Self.work(source, transform, seed: options.seed, queue)
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

    /// The place of the batch that `next()` gives next: what a checkpoint has to remember.
    public var position: LoaderPosition { queue.position }

    /// Ends the threads and waits for them. Happens by itself when the loader is released.
    public func stop() { queue.stop() }

    /// The size all images get, if need be from the first image.
    private static func outputSize(
        _ source: any ImageSource, _ preprocessing: Preprocessing, _ augmentation: Augmentation?
    ) throws -> ImageSize {
        try preprocessing.validate()
        if let crop = preprocessing.crop { return crop }
        if case .exact(let size) = preprocessing.resize { return size }
        if let shape = source.imageShape {
            return preprocessing.resize.size(of: shape.size)
        }
        guard augmentation?.randomResizedCrop == nil else {
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
        _ source: any ImageSource, _ transform: ImageTransform, seed: UInt64, _ queue: BatchQueue
    ) {
        let scratch = TransformScratch()
        let classes = source.classNames.count
        while let chunk = queue.claim() {
            var failure: (position: Int, error: any Error)?
            for (position, sample) in zip(chunk.range, chunk.samples) {
                do {
                    let label = source.label(at: sample)
                    guard (0..<classes).contains(label) else {
                        throw DataError(
                            source.name(of: sample), "has label \(label) of \(classes) classes",
                            remedy: "correct the label or name more classes")
                    }
                    (chunk.labels + position).initialize(to: Int32(label))
                    let key =
                        transform.augmentation == nil
                        ? nil
                        : Augmentation.key(seed: seed, epoch: chunk.epoch, sample: sample)
                    try transform.write(
                        source.image(at: sample), name: source.name(of: sample), key: key,
                        to: chunk.memory + position * transform.count, scratch: scratch)
                } catch {
                    failure = (position, error)
                    break
                }
            }
            queue.finish(chunk, failure: failure)
        }
    }
}
