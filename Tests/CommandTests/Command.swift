import ApusData
import Foundation
import Testing

/// What a run of the command did.
struct CommandResult {
    let status: Int32
    /// Whether a signal ended it.
    let isKilled: Bool
    let output: String
    let errors: String

    /// The lines on standard error that say what failed.
    var errorLines: [Substring] { errors.split(separator: "\n").filter { $0.hasPrefix("apus: ") } }
}

/// The built command, run as a process of its own.
enum Command {
    /// It lies beside the tests.
    static let path: String = {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        if let products = ProcessInfo.processInfo.environment["APUS_PRODUCTS"] {
            folder = URL(fileURLWithPath: products)
        }
        return folder.appending(path: "apus").path
    }()

    /// Timings are kept for all tests, so that all of them make the same choices.
    private static let environment: [String: String] = {
        let cache = FileManager.default.temporaryDirectory.appending(
            path: "apus-command-tests-\(getpid())")
        var environment = ProcessInfo.processInfo.environment
        environment["XDG_CACHE_HOME"] = cache.path
        environment["COLUMNS"] = "100"
        return environment
    }()

    /// Starts the command; its output goes to files, so that no pipe can fill up.
    static func start(_ arguments: [String], shell: String? = nil) throws -> Running {
        let process = Process()
        process.environment = environment
        if let shell {
            process.executableURL = URL(fileURLWithPath: "/bin/bash")
            process.arguments = ["-c", shell + "; exec \"$0\" \"$@\"", path] + arguments
        } else {
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = arguments
        }
        let folder = try Scratch()
        let output = folder.path("output")
        let errors = folder.path("errors")
        for path in [output, errors] {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return Running(process: process, folder: folder)
    }

    @discardableResult
    static func run(_ arguments: String..., shell: String? = nil) throws -> CommandResult {
        try start(arguments, shell: shell).wait()
    }

    struct Running {
        let process: Process
        let folder: Scratch

        func wait() throws -> CommandResult {
            process.waitUntilExit()
            func text(_ name: String) throws -> String {
                String(
                    decoding: try Data(contentsOf: URL(fileURLWithPath: folder.path(name))),
                    as: UTF8.self)
            }
            return CommandResult(
                status: process.terminationStatus,
                isKilled: process.terminationReason == .uncaughtSignal,
                output: try text("output"), errors: try text("errors"))
        }
    }
}

/// A folder that goes away with its owner.
final class Scratch {
    let root: String

    init() throws {
        root =
            FileManager.default.temporaryDirectory.path + "/apus-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: root, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func path(_ name: String) -> String { "\(root)/\(name)" }

    func write(_ bytes: some Collection<UInt8>, to name: String) throws {
        let url = URL(fileURLWithPath: path(name))
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    func bytes(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: path(name)))
    }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    /// Class folders of dark and bright squares: what a network learns in a few steps.
    func writeClasses(side: Int = 8, train: Int = 24, test: Int = 6) throws {
        for (split, count) in [("train", train), ("test", test)] {
            for (label, name) in ["bright", "dark"].enumerated() {
                for index in 0..<count {
                    let image = Scratch.picture(side, label: label, index: index)
                    try write(
                        try ImageEncoder.encodePNG(image),
                        to: "data/\(split)/\(name)/\(index).png")
                }
            }
        }
    }

    static func picture(_ side: Int, label: Int, index: Int) -> Image {
        let base = label == 0 ? 180 : 30
        return Image(
            width: side, height: side, channels: 1,
            pixels: (0..<side * side).map { UInt8(base + ($0 * 7 + index * 13) % 40) })
    }
}

/// Checks that the command failed in good order: the exit code, one line, no crash.
func expectFailure(
    _ result: CommandResult, code: Int32 = 1, _ words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(!result.isKilled, "ended by a signal", sourceLocation: sourceLocation)
    #expect(result.status == code, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.errorLines.count == 1, "\(result.errors)", sourceLocation: sourceLocation)
    for word in words {
        #expect(
            result.errors.contains(word), "no '\(word)' in: \(result.errors)",
            sourceLocation: sourceLocation)
    }
}

/// Waits until a file has so many lines.
func waitFor(_ scratch: Scratch, _ name: String, lines: Int) {
    // Other tests keep the pool of tasks busy: a sleeping task would wake when the run is over.
    for _ in 0..<10_000 {
        let count = (try? scratch.bytes(name))?.count { $0 == 10 } ?? 0
        if count >= lines { return }
        usleep(2000)
    }
    Issue.record("\(name) never had \(lines) lines")
}
