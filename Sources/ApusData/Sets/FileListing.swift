import Foundation

/// What folders hold, in the order of the names' bytes, so that it is the same on every machine.
///
/// Hidden files are left out. Links are followed; a folder that was already listed, as a loop of
/// links would list it again, is not listed twice.
package enum FileListing {
    package struct Entry {
        package let name: String
        package let isFolder: Bool
    }

    package static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// What is directly in a folder.
    package static func entries(of directory: String) throws -> [Entry] {
        guard let handle = opendir(directory) else {
            let code = errno
            let (problem, remedy) =
                switch code {
                case ENOENT: ("does not exist", "give the path of a folder of images")
                case ENOTDIR: ("is not a folder", "give the path of a folder of images")
                case EACCES: ("cannot be listed", "check the permissions of the folder")
                default:
                    (
                        "cannot be listed (\(String(cString: strerror(code)).lowercased()))",
                        "check the disk"
                    )
                }
            throw DataError(directory, problem, remedy: remedy)
        }
        defer { closedir(handle) }
        var entries: [Entry] = []
        while true {
            // Only errno tells the end of a folder from a failure.
            errno = 0
            guard let entry = readdir(handle) else {
                guard errno == 0 else {
                    throw DataError(
                        directory, "cannot be listed (\(String(cString: strerror(errno))))",
                        remedy: "check the disk")
                }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard !name.hasPrefix(".") else { continue }
            let isFolder =
                switch Int(entry.pointee.d_type) {
                case Int(DT_DIR): true
                case Int(DT_REG): false
                default: isDirectory("\(directory)/\(name)")
                }
            entries.append(Entry(name: name, isFolder: isFolder))
        }
        return entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// All files below a folder, as paths that start inside it.
    package static func files(below directory: String) throws -> [String] {
        struct Identity: Hashable {
            let device: UInt64
            let number: UInt64
        }
        var seen = Set<Identity>()
        var files: [String] = []
        func list(_ prefix: String) throws {
            let path = prefix.isEmpty ? directory : "\(directory)/\(prefix.dropLast())"
            var status = stat()
            if stat(path, &status) == 0 {
                let identity = Identity(
                    device: UInt64(status.st_dev), number: UInt64(status.st_ino))
                guard seen.insert(identity).inserted else { return }
            }
            for entry in try entries(of: path) {
                if entry.isFolder {
                    try list(prefix + entry.name + "/")
                } else {
                    files.append(prefix + entry.name)
                }
            }
        }
        try list("")
        return files
    }
}
