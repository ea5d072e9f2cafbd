import Foundation

/// The one thread that calls oneDNN. Its team of OpenMP threads lives as long as the process; calls
/// from anywhere wait until theirs has run.
public final class EngineThread: @unchecked Sendable {
    public static let shared = EngineThread()

    private let condition = NSCondition()
    private var jobs: [Job] = []
    private var thread: Thread?

    private init() {
        let thread = Thread { [unowned self] in
            while true {
                condition.lock()
                while jobs.isEmpty { condition.wait() }
                let job = jobs.removeFirst()
                condition.unlock()
                job.run()
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
            var result: Swift.Result<Result, any Error>?
            let job = Job { result = Swift.Result(catching: body) }
            condition.lock()
            jobs.append(job)
            condition.signal()
            condition.unlock()
            job.done.wait()
            return try get(result)
        }
    }

    private func get<T>(_ result: Swift.Result<T, any Error>?) throws -> T {
        guard let result else { preconditionFailure("the engine's job did not run") }
        return try result.get()
    }
}

/// Work handed over. Its closure is gone before the caller goes on, whose locals it refers to.
private final class Job {
    let done = DispatchSemaphore(value: 0)
    private var body: (() -> Void)?

    init(_ body: @escaping () -> Void) { self.body = body }

    func run() {
        body?()
        body = nil
        done.signal()
    }
}
