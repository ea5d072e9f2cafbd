import Foundation

/// Work on many items by several threads, whose results are taken one by one in the items' order.
package enum OrderedMap {
    /// Calls `work` for every index below `count` on `threads` threads, and `take` with the results
    /// in order on the calling thread. At most `ahead` results wait to be taken.
    ///
    /// What either throws ends everything, in the order of the items, and is thrown on.
    package static func run<Result: Sendable>(
        count: Int, threads: Int, ahead: Int = 64,
        work: @escaping @Sendable (Int) throws -> Result, take: (Int, Result) throws -> Void
    ) throws {
        let line = Line<Result>(count: count, ahead: max(ahead, threads))
        for number in 0..<max(1, min(threads, count)) {
            line.enter()
            let thread = Thread {
                while let index = line.claim() {
                    line.finish(index, Swift.Result { try work(index) })
                }
                line.leave()
            }
            thread.name = "apus-map-\(number)"
            // Decoders and their filters use more stack than threads get by default elsewhere.
            thread.stackSize = 1 << 20
            thread.start()
        }
        defer { line.stop() }
        for index in 0..<count { try take(index, line.take(index).get()) }
    }

    /// All state is only touched under the lock.
    private final class Line<Result: Sendable>: @unchecked Sendable {
        private let lock = NSCondition()
        private let count: Int
        private let ahead: Int
        private var results: [Int: Swift.Result<Result, any Error>] = [:]
        private var claimed = 0
        private var taken = 0
        private var isStopped = false
        private var workers = 0

        init(count: Int, ahead: Int) {
            self.count = count
            self.ahead = ahead
        }

        func enter() { lock.withLock { workers += 1 } }

        func leave() {
            lock.withLock {
                workers -= 1
                lock.broadcast()
            }
        }

        func claim() -> Int? {
            lock.lock()
            defer { lock.unlock() }
            while !isStopped, claimed < count {
                if claimed < taken + ahead {
                    claimed += 1
                    return claimed - 1
                }
                lock.wait()
            }
            return nil
        }

        func finish(_ index: Int, _ result: Swift.Result<Result, any Error>) {
            lock.withLock {
                results[index] = result
                lock.broadcast()
            }
        }

        func take(_ index: Int) -> Swift.Result<Result, any Error> {
            lock.lock()
            defer { lock.unlock() }
            while true {
                if let result = results.removeValue(forKey: index) {
                    taken = index + 1
                    lock.broadcast()
                    return result
                }
                lock.wait()
            }
        }

        /// Ends the threads and waits until they are gone.
        func stop() {
            lock.lock()
            isStopped = true
            lock.broadcast()
            while workers > 0 { lock.wait() }
            lock.unlock()
        }
    }
}
