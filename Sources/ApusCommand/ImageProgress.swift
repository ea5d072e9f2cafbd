import ArgumentParser
import Foundation

/// The changing line of a task that goes through images, and its end by Ctrl-C.
struct ImageProgress {
    private let status: StatusLine
    private let isQuiet: Bool
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    init(_ status: StatusLine, isQuiet: Bool) {
        self.status = status
        self.isQuiet = isQuiet
        start = clock.now
    }

    /// - Parameter instead: what an interrupted task has left, for the message
    func report(_ done: Int, _ total: Int, instead: String) throws {
        if let signal = Interrupt.received {
            status.note("stopped after \(done) of \(total) images; \(instead)")
            throw ExitCode(128 + signal)
        }
        guard !isQuiet else { return }
        status.update(text(done, total))
    }

    private func text(_ done: Int, _ total: Int) -> String {
        let seconds = max((clock.now - start) / .seconds(1), 1e-3)
        let rate = Double(done) / seconds
        return "\(StatusLine.bar(Double(done) / Double(max(total, 1)))) \(done) of \(total) images"
            + String(format: "  %.0f images/s  ", rate)
            + "\(Readable.duration(Double(total - done) / max(rate, 1e-3))) left"
    }
}
