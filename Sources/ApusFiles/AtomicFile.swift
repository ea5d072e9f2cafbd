import Foundation
import Glibc

/// Files that are either wholly the new version or wholly the previous one.
public enum AtomicFile {
    /// Writes the file at `path` through a temporary file beside it, which replaces the target
    /// only when all bytes are on the disk. On any error the target stays as it was.
    ///
    /// Symbolic links are followed, and the mode of an existing file is kept.
    public static func write(
        to path: String, contents: (FileWriter) throws -> Void
    ) throws {
        let target = try Target(path)
        let (temporary, descriptor) = try openTemporary(target)
        do {
            defer { close(descriptor) }
            if let mode = target.mode { _ = fchmod(descriptor, mode) }
            let writer = FileWriter(
                descriptor: descriptor, path: path, replaces: target.mode != nil)
            try contents(writer)
            try writer.synchronize()
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, target.path) == 0 else {
            let code = errno
            unlink(temporary)
            throw FileWriter.error(code, path: path, replaces: target.mode != nil)
        }
        try synchronizeDirectory(target.directory, path: path)
    }

    /// Where the bytes go, and the mode of what is there now.
    private struct Target {
        let path: String
        let mode: mode_t?

        init(_ path: String) throws {
            var status = stat()
            guard stat(path, &status) == 0 else {
                self.path = path
                mode = nil
                return
            }
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw FileError(
                    path,
                    status.st_mode & S_IFMT == S_IFDIR ? "is a directory" : "is not a plain file",
                    remedy: "give the path of a file to write")
            }
            mode = status.st_mode & 0o7777
            let resolved = realpath(path, nil)
            self.path = resolved.map { String(cString: $0) } ?? path
            free(resolved)
        }

        var directory: String {
            guard let slash = path.lastIndex(of: "/") else { return "." }
            return slash == path.startIndex ? "/" : String(path[..<slash])
        }
    }

    private static func openTemporary(_ target: Target) throws -> (String, Int32) {
        var code = EEXIST
        for attempt in 0..<1000 {
            let name = "\(target.directory)/.apus-\(getpid())-\(attempt).tmp"
            let descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            if descriptor >= 0 { return (name, descriptor) }
            code = errno
            guard code == EEXIST || code == EINTR else { break }
        }
        switch code {
        case ENOENT where access(target.directory, F_OK) == 0:
            throw FileError(
                target.path, "cannot be written: its directory takes no new files",
                remedy: "choose another path")
        case ENOENT, ENOTDIR:
            throw FileError(
                target.path, "cannot be written: its directory does not exist",
                remedy: "create \(target.directory) and run again")
        default:
            throw FileWriter.error(code, path: target.path, replaces: target.mode != nil)
        }
    }

    /// Makes the rename itself durable, where the file system knows how.
    private static func synchronizeDirectory(_ directory: String, path: String) throws {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }  // A directory may be writable but not readable.
        defer { close(descriptor) }
        while fsync(descriptor) != 0 {
            switch errno {
            case EINTR: continue
            case EINVAL, ENOTSUP, EROFS: return
            default:
                throw FileError(
                    path,
                    "was written, but may not survive a power failure: "
                        + String(cString: strerror(errno)),
                    remedy: "check the disk and run again")
            }
        }
    }
}
