import ApusTensor

/// Which images make up which batch: a pure function of the options and the number of images.
struct SampleOrder {
    let count: Int
    let options: LoaderOptions
    let batchesPerEpoch: Int

    private var cachedEpoch: Int?
    private var cachedOrder: [Int] = []

    init(count: Int, options: LoaderOptions) throws {
        self.count = count
        self.options = options
        batchesPerEpoch = try options.batchesPerEpoch(count: count)
    }

    /// The images of a batch, the batches being numbered on through the epochs.
    mutating func samples(ofBatch number: Int) -> [Int] {
        let epoch = number / batchesPerEpoch
        let first = number % batchesPerEpoch * options.batchSize
        let end = min(first + options.batchSize, count)
        guard options.shuffles else { return Array(first..<end) }
        if cachedEpoch != epoch {
            let key = RandomKey(seed: options.seed).child("shuffle").child(epoch)
            cachedOrder = key.permutation(count)
            cachedEpoch = epoch
        }
        return Array(cachedOrder[first..<end])
    }
}
