import Foundation

/// A Python interpreter of this machine, for the two things that need others' programs: pip, and ONNX
/// Runtime. Nothing else depends on it.
public struct PythonTool: Sendable {
    /// The program.
    public let path: String

    /// The interpreter at `path`, or the first `python3` on PATH. Throws a `TrainingError` if there
    /// is none.
    public init(_ path: String? = nil) throws {
        let manager = FileManager.default
        if let path {
            guard manager.isExecutableFile(atPath: path) else {
                throw TrainingError("\(path) is not a program; give a Python with --python")
            }
            self.path = path
            return
        }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        guard
            let found = folders.map({ "\($0)/python3" })
                .first(where: { manager.isExecutableFile(atPath: $0) })
        else {
            throw TrainingError(
                "there is no python3 on PATH; install it, or name one with --python")
        }
        self.path = found
    }

    /// What a run left behind.
    struct Result {
        var status: Int32
        /// The lines of standard error.
        var errors: [String]

        /// The last line that says something, for messages.
        var lastError: String {
            errors.last { $0.hasPrefix("ERROR") } ?? errors.last ?? "it ended without a word"
        }
    }

    /// Runs Python with `arguments` and waits; `folder` is for its output.
    func run(_ arguments: [String], in folder: String) throws -> Result {
        let errors = folder + "/stderr"
        guard FileManager.default.createFile(atPath: errors, contents: nil),
            let handle = FileHandle(forWritingAtPath: errors)
        else { throw TrainingError("\(folder) cannot be written; free space or check its mode") }
        defer { try? handle.close() }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = handle
        do {
            try process.run()
        } catch {
            throw TrainingError("\(path) cannot be run: \(error.localizedDescription)")
        }
        process.waitUntilExit()
        let text = (try? Data(contentsOf: URL(fileURLWithPath: errors))) ?? Data()
        let lines = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        return Result(
            status: process.terminationReason == .exit ? process.terminationStatus : -1,
            errors: lines)
    }
}

/// A folder that is removed with its owner.
final class TemporaryFolder {
    let path: String

    /// A fresh folder in `parent`, or where temporary files go.
    init(in parent: String = FileManager.default.temporaryDirectory.path) throws {
        path = parent + "/.apus-\(UUID().uuidString)"
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TrainingError(
                "cannot make a folder in \(parent): \(error.localizedDescription)")
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
