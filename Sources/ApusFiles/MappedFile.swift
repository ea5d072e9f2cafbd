import Foundation
import Glibc

/// Files as read-only memory: the pages are loaded when they are touched.
package enum MappedFile {
    /// The bytes of the regular file at `path`.
    package static func read(_ path: String) throws -> Data {
        // O_NONBLOCK: opening a named pipe must not wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw openError(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw openError(path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(
                path, status.st_mode & S_IFMT == S_IFDIR ? "is a directory" : "is not a plain file",
                remedy: "give the path of a file")
        }
        let count = Int(status.st_size)
        guard count > 0 else { return Data() }
        guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0),
            base != MAP_FAILED
        else { throw openError(path, errno) }
        return Data(
            bytesNoCopy: base, count: count, deallocator: .custom { munmap($0, $1) })
    }

    private static func openError(_ path: String, _ code: Int32) -> FileError {
        switch code {
        case ENOENT: FileError(path, "does not exist", remedy: "check the path")
        case EACCES: FileError(path, "may not be read by this user", remedy: "change its mode")
        default:
            FileError(
                path, "cannot be opened: \(String(cString: strerror(code)))",
                remedy: "check the path and the disk")
        }
    }
}
