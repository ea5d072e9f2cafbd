import Foundation
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The terminal behind standard error.
enum Terminal {
    /// Whether a person watches.
    static let isInteractive = isatty(STDERR_FILENO) == 1

    /// Columns of the window.
    static var width: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return 80
        }
        return Int(size.ws_col)
    }

    /// Writes a line to standard error.
    static func note(_ line: String) {
        write(line + "\n")
    }

    static func write(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}

/// One line on the terminal that is written again and again; plain lines now and then elsewhere.
final class StatusLine {
    private let clock = ContinuousClock()
    private var last: ContinuousClock.Instant?
    private var isShown = false
    private let interval: Duration

    /// - Parameter plainInterval: seconds between lines where nobody watches
    init(plainInterval: Double = 10) {
        interval = Terminal.isInteractive ? .milliseconds(100) : .seconds(plainInterval)
        // The first plain line comes after an interval; a person sees something at once.
        last = Terminal.isInteractive ? nil : clock.now
    }

    /// Shows `text` if enough time has passed.
    func update(_ text: @autoclosure () -> String) {
        if let last, clock.now - last < interval { return }
        last = clock.now
        if Terminal.isInteractive {
            Terminal.write("\r" + text().prefix(Terminal.width - 1) + "\u{1B}[K")
            isShown = true
        } else {
            Terminal.note(text())
        }
    }

    /// Writes a line that stays, above the one that changes.
    func note(_ text: String) {
        clear()
        Terminal.note(text)
    }

    /// Takes the line away.
    func clear() {
        if isShown { Terminal.write("\r\u{1B}[K") }
        isShown = false
    }

    /// `[=====>    ]`
    static func bar(_ share: Double, width: Int = 20) -> String {
        let filled = min(max(Int(share * Double(width)), 0), width)
        let head = filled < width ? ">" : ""
        return "[" + String(repeating: "=", count: filled) + head
            + String(repeating: " ", count: max(0, width - filled - head.count)) + "]"
    }
}

/// Notices Ctrl-C and SIGTERM so that a task can end in good order; the second one ends the process.
enum Interrupt {
    private static let signalNumber = Atomic<Int32>(0)

    static func install() {
        // Before any signal comes: a handler must not be the first to touch the variable.
        signalNumber.store(0, ordering: .sequentiallyConsistent)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                let isFirst = Interrupt.signalNumber.compareExchange(
                    expected: 0, desired: number, ordering: .sequentiallyConsistent
                ).exchanged
                if !isFirst { _exit(128 + number) }
            }
        }
        // Whoever started this process may have blocked them, as thread pools do.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// The signal that came; nil if none did.
    static var received: Int32? {
        let number = signalNumber.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }
}

/// Numbers as people read them.
enum Readable {
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let total = Int(max(seconds, 0).rounded())
        switch total {
        case ..<60: return "\(total) s"
        case ..<3600: return "\(total / 60) min \(total % 60) s"
        default: return "\(total / 3600) h \(total % 3600 / 60) min"
        }
    }

    static func bytes(_ count: Int) -> String {
        let mebibytes = Double(count) / 1_048_576
        return mebibytes < 10_000
            ? String(format: "%.0f MiB", mebibytes) : String(format: "%.1f GiB", mebibytes / 1024)
    }

    static func count(_ value: Int) -> String {
        switch value {
        case ..<10_000: "\(value)"
        case ..<10_000_000: String(format: "%.2f M", Double(value) / 1e6)
        default: String(format: "%.1f M", Double(value) / 1e6)
        }
    }

    static func percent(_ share: Double, digits: Int = 2) -> String {
        String(format: "%.\(digits)f %%", 100 * share)
    }
}
