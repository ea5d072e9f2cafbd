import ApusFiles
import ApusTensor
import Foundation

/// Results of finished jobs, one file each, named by what was asked. A rerun finds them, and one that
/// asks something else does not.
struct JobCache {
    let folder: LabFolder

    /// Raise it when the same request would give another result than before.
    private static let version = 1

    private struct Entry<Request: Codable, Result: Codable>: Codable {
        var version: Int
        var request: Request
        var result: Result
    }

    /// The stored result of `request`, or that of `make`, which is then stored whole or not at all.
    func value<Request: Codable & Hashable, Result: Codable>(
        _ kind: String, _ request: Request, make: () throws -> Result
    ) throws -> Result {
        let path = try path(kind, request)
        if FileManager.default.fileExists(atPath: path) {
            let entry = try LabFolder.read(Entry<Request, Result>.self, path)
            if entry.version == JobCache.version, entry.request == request { return entry.result }
        }
        let result = try make()
        let entry = Entry(version: JobCache.version, request: request, result: result)
        let data = try LabFolder.encoder.encode(entry)
        try AtomicFile.write(to: path) { try $0.write(data) }
        return result
    }

    /// Whether the result of `request` is there.
    func contains(_ kind: String, _ request: some Codable & Hashable) throws -> Bool {
        FileManager.default.fileExists(atPath: try path(kind, request))
    }

    private func path(_ kind: String, _ request: some Encodable) throws -> String {
        let text = String(decoding: try LabFolder.encoder.encode(request), as: UTF8.self)
        let hash = String(RandomKey.hash("\(JobCache.version) \(kind) \(text)"), radix: 16)
        return "\(folder.path)/jobs/\(kind)-\(hash).json"
    }
}
