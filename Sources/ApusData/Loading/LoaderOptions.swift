/// A place in the stream of batches: the `batch`-th of `epoch`, both from 0.
public struct LoaderPosition: Hashable, Codable, Sendable {
    public var epoch: Int
    public var batch: Int

    public init(epoch: Int = 0, batch: Int = 0) {
        self.epoch = epoch
        self.batch = batch
    }
}

/// How a loader goes through a source.
public struct LoaderOptions: Hashable, Codable, Sendable {
    public var batchSize: Int
    /// Takes the images of every epoch in another order; else in the order of the source.
    public var shuffles: Bool
    /// Leaves out the images of an epoch that do not fill a batch; else the last batch is smaller.
    public var dropsLast: Bool
    /// Decides the orders and the augmentations, together with the epoch.
    public var seed: UInt64
    /// The first batch, for going on where an interrupted run was.
    public var start: LoaderPosition
    /// The epoch before which the batches end; nil for batches without end.
    public var endEpoch: Int?
    /// Threads that decode and transform; batches are the same for any number.
    public var workers: Int
    /// The most batches made ahead; each takes the memory of its images.
    public var prefetch: Int
    /// What happens to images that cannot be read.
    public var brokenImages = BrokenImages.stop
    /// Measures how long every stage takes: about 0.3 microseconds an image.
    public var measuresStages = false

    /// The options for training: shuffled full batches.
    public init(
        batchSize: Int, shuffles: Bool = true, dropsLast: Bool = true, seed: UInt64 = 0,
        start: LoaderPosition = LoaderPosition(), endEpoch: Int? = nil, workers: Int = 2,
        prefetch: Int = 3
    ) {
        self.batchSize = batchSize
        self.shuffles = shuffles
        self.dropsLast = dropsLast
        self.seed = seed
        self.start = start
        self.endEpoch = endEpoch
        self.workers = workers
        self.prefetch = prefetch
    }

    /// The options for measuring: every image once, in the order of the source.
    public static func evaluation(batchSize: Int, workers: Int = 2) -> LoaderOptions {
        LoaderOptions(
            batchSize: batchSize, shuffles: false, dropsLast: false, endEpoch: 1, workers: workers)
    }

    /// How many batches an epoch of `count` images has; throws if the options do not fit.
    public func batchesPerEpoch(count: Int) throws -> Int {
        func check(_ isGood: Bool, _ problem: String, _ remedy: String) throws {
            if !isGood { throw DataError("loader", problem, remedy: remedy) }
        }
        try check(count > 0, "the data set has no images", "choose another data set or split")
        try check(batchSize > 0, "the batch size is \(batchSize)", "use 1 or more")
        try check(
            !dropsLast || batchSize <= count,
            "the batch size \(batchSize) is larger than the data set of \(count) images",
            "use \(count) or less")
        try check((1...1024).contains(workers), "workers is \(workers)", "use 1 to 1024")
        try check((1...1024).contains(prefetch), "prefetch is \(prefetch)", "use 1 to 1024")
        let batches = dropsLast ? count / batchSize : 1 + (count - 1) / batchSize
        try check(
            (0...1_000_000_000).contains(start.epoch) && (0...batches).contains(start.batch),
            "cannot start at epoch \(start.epoch), batch \(start.batch) of \(batches)",
            "resume with the data set and batch size of the interrupted run")
        try check(
            (0...1_000_000_000).contains(endEpoch ?? 0), "the last epoch is \(endEpoch ?? 0)",
            "use 0 to 1000000000")
        return batches
    }
}
