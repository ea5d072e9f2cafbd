import ApusTensor
import Foundation

/// The bounded line of batches between the threads that make them and the one that takes them.
///
/// Batches are opened in order into a ring of slots. Workers claim a few samples of the newest
/// batch at a time, so several can work on one batch, and write them to disjoint parts of the
/// slot's memory. All other state is only touched under the lock.
final class BatchQueue: @unchecked Sendable {
    /// A few samples of a batch, for one worker to make.
    struct Chunk {
        let slot: Int
        let epoch: Int
        /// Where in the batch the samples go.
        let range: Range<Int>
        /// How many samples the batch has: the second views follow after as many first ones.
        let batchCount: Int
        /// Where in the source they are, in the same order.
        let samples: ArraySlice<Int>
        let memory: UnsafeMutablePointer<Float>
        let labels: UnsafeMutablePointer<Int32>
    }

    private struct Slot {
        /// What the workers fill and the taker gets: batches are never copied. `memory` is its
        /// storage, which stays where it is as nobody else holds the array meanwhile.
        var elements: [Float] = []
        var memory: UnsafeMutablePointer<Float>?
        let labels: UnsafeMutablePointer<Int32>
        var number = 0
        var samples: [Int] = []
        /// How many samples are claimed, and how many of these are made.
        var claimed = 0
        var made = 0
        /// The first sample that failed, and why.
        var failure: (position: Int, error: any Error)?
        /// Images in whose place others stand.
        var broken: [BrokenImage] = []
        var batch: Batch?
    }

    /// How a chunk turned out.
    struct Outcome {
        /// The first sample that failed, and why.
        var failure: (position: Int, error: any Error)?
        /// Where in the batch another sample stands than was asked for, and which.
        var replaced: [(position: Int, sample: Int)] = []
        var broken: [BrokenImage] = []
    }

    private let lock = NSCondition()
    private var order: SampleOrder
    private let shape: ImageShape
    private let views: Int
    private let floatsOfSample: Int
    private var slots: [Slot]
    /// Numbers of the batch to be taken next, to be opened next, and after the last.
    private var head: Int
    private var opened: Int
    private let end: Int?
    private var isStopped = false
    private var failure: (any Error)?
    private var workers = 0
    private var stageTimes = StageTimes()
    private var samplesMade = 0
    /// The broken images of the batches that were taken, which do not depend on timing.
    private var broken: [Int: BrokenImage] = [:]

    /// Claims cost a lock, so they are not one by one; few, so that all workers get some.
    private static let chunkSize = 16

    init(order: SampleOrder, shape: ImageShape, views: Int) {
        self.order = order
        self.shape = shape
        self.views = views
        let options = order.options
        head = options.start.epoch * order.batchesPerEpoch + options.start.batch
        opened = head
        end = options.endEpoch.map { $0 * order.batchesPerEpoch }
        let capacity = min(options.batchSize, order.count)
        floatsOfSample = views * shape.channels * shape.height * shape.width
        slots = (0..<options.prefetch).map { _ in
            let labels = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
            return Slot(labels: labels)
        }
    }

    deinit {
        for slot in slots { slot.labels.deallocate() }
    }

    /// Where the batch is that is to be taken next.
    var position: LoaderPosition {
        lock.withLock {
            LoaderPosition(
                epoch: head / order.batchesPerEpoch, batch: head % order.batchesPerEpoch)
        }
    }

    /// What the workers have reported: the time spent, and the samples made in it.
    var work: (times: StageTimes, samples: Int) { lock.withLock { (stageTimes, samplesMade) } }

    func add(_ times: StageTimes) { lock.withLock { stageTimes += times } }

    /// Images that were replaced in the batches taken so far, in the order of the source.
    var brokenImages: [BrokenImage] {
        lock.withLock { broken.values.sorted { $0.sample < $1.sample } }
    }

    // MARK: For the taker

    /// Waits for the next batch; nil after the last or after `stop()`.
    func take() throws -> Batch? {
        lock.lock()
        defer { lock.unlock() }
        while true {
            if let failure { throw failure }
            if isStopped || head >= end ?? .max { return nil }
            let slot = head % slots.count
            if opened > head, slots[slot].made == slots[slot].samples.count {
                if let error = slots[slot].failure?.error ?? noteBroken(slots[slot].broken) {
                    failure = error
                    isStopped = true
                    lock.broadcast()
                    throw error
                }
                if let batch = slots[slot].batch {
                    slots[slot].batch = nil
                    head += 1
                    lock.broadcast()
                    return batch
                }
            }
            lock.wait()
        }
    }

    /// Waits until there is nothing to do for the workers: all slots hold whole batches.
    func waitUntilFull() {
        lock.lock()
        defer { lock.unlock() }
        func isFull() -> Bool {
            opened >= min(head + slots.count, end ?? .max)
                && slots.allSatisfy { $0.made == $0.samples.count }
        }
        while !isStopped, !isFull() { lock.wait() }
    }

    /// Adds the broken images of a batch to those before; gives an error if they are too many.
    private func noteBroken(_ images: [BrokenImage]) -> (any Error)? {
        for image in images { broken[image.sample] = image }
        let limit = BrokenImages.limit(of: order.count)
        guard broken.count > limit, let first = broken.values.min(by: { $0.sample < $1.sample })
        else { return nil }
        return BrokenRegister.tooMany(broken.count, of: order.count, limit, first.reason)
    }

    /// Ends all workers and waits until they are gone.
    func stop() {
        lock.lock()
        isStopped = true
        lock.broadcast()
        while workers > 0 { lock.wait() }
        lock.unlock()
    }

    // MARK: For the workers

    func enter() { lock.withLock { workers += 1 } }

    func leave() {
        lock.withLock {
            workers -= 1
            lock.broadcast()
        }
    }

    /// Waits for samples to make; nil when there will be no more.
    func claim() -> Chunk? {
        lock.lock()
        defer { lock.unlock() }
        while !isStopped {
            let newest = (opened + slots.count - 1) % slots.count
            if opened > head, slots[newest].claimed < slots[newest].samples.count {
                return claim(in: newest)
            }
            if opened >= end ?? .max { return nil }
            if opened < head + slots.count {
                open()
            } else {
                lock.wait()
            }
        }
        return nil
    }

    private func open() {
        let slot = opened % slots.count
        slots[slot].number = opened
        slots[slot].samples = order.samples(ofBatch: opened)
        slots[slot].claimed = 0
        slots[slot].made = 0
        slots[slot].failure = nil
        slots[slot].broken = []
        let floats = slots[slot].samples.count * floatsOfSample
        slots[slot].elements = [Float](unsafeUninitializedCapacity: floats) { $1 = floats }
        slots[slot].memory = slots[slot].elements.withUnsafeMutableBufferPointer(\.baseAddress)
        opened += 1
        // Workers that wait for a free slot can help with this one.
        lock.broadcast()
    }

    private func claim(in index: Int) -> Chunk {
        guard let memory = slots[index].memory else { fatalError("a batch without memory") }
        let first = slots[index].claimed
        let end = min(first + Self.chunkSize, slots[index].samples.count)
        slots[index].claimed = end
        return Chunk(
            slot: index, epoch: slots[index].number / order.batchesPerEpoch, range: first..<end,
            batchCount: slots[index].samples.count, samples: slots[index].samples[first..<end],
            memory: memory, labels: slots[index].labels)
    }

    /// Reports the samples of a chunk as made, or the first of them that failed.
    func finish(_ chunk: Chunk, _ outcome: Outcome) {
        lock.lock()
        defer { lock.unlock() }
        let index = chunk.slot
        samplesMade += chunk.range.count
        for (position, sample) in outcome.replaced { slots[index].samples[position] = sample }
        slots[index].broken += outcome.broken
        if let failure = outcome.failure, failure.position < slots[index].failure?.position ?? .max
        {
            slots[index].failure = failure
        }
        slots[index].made += chunk.range.count
        if slots[index].made == slots[index].samples.count, slots[index].failure == nil {
            slots[index].batch = makeBatch(index)
        }
        lock.broadcast()
    }

    /// Turns a finished slot into values of their own. The images are given away, not copied.
    private func makeBatch(_ index: Int) -> Batch {
        var elements: [Float] = []
        swap(&elements, &slots[index].elements)
        slots[index].memory = nil
        let count = slots[index].samples.count
        return Batch(
            images: Tensor(
                [views * count, shape.channels, shape.height, shape.width], elements),
            views: views,
            labels: Array(UnsafeBufferPointer(start: slots[index].labels, count: count)),
            samples: slots[index].samples, epoch: slots[index].number / order.batchesPerEpoch,
            index: slots[index].number % order.batchesPerEpoch)
    }
}
