import Foundation

/// The one thread that calls oneDNN. Its team of OpenMP threads lives as long as the process; calls
/// from anywhere wait until theirs has run.
public final class EngineThread: @unchecked Sendable {
    public static let shared = EngineThread()

    private let condition = NSCondition()
    private var jobs: [() -> Void] = []
    private var thread: Thread?

    private init() {
        let thread = Thread { [unowned self] in
            while true {
                condition.lock()
                while jobs.isEmpty { condition.wait() }
                let job = jobs.removeFirst()
                condition.unlock()
                job()
            }
        }
        thread.name = "apus engine"
        thread.stackSize = 8 << 20
        self.thread = thread
        thread.start()
    }

    /// Runs `body` on the engine's thread and returns its result. Calls from `body` run at once.
    public func perform<Result>(_ body: () throws -> Result) rethrows -> Result {
        if Thread.current === thread { return try body() }
        return try withoutActuallyEscaping(body) { body in
            let done = DispatchSemaphore(value: 0)
            var result: Swift.Result<Result, any Error>?
            condition.lock()
            jobs.append {
                result = Swift.Result(catching: body)
                done.signal()
            }
            condition.signal()
            condition.unlock()
            done.wait()
            return try get(result)
        }
    }

    private func get<T>(_ result: Swift.Result<T, any Error>?) throws -> T {
        guard let result else { preconditionFailure("the engine's job did not run") }
        return try result.get()
    }
}
