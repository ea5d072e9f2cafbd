import Foundation
import Glibc

/// Writes bytes to an open file, one after another, and checks every write.
///
/// Only the thread that `AtomicFile` called may use it, until its closure returns.
public final class FileWriter {
    private let descriptor: Int32
    private let path: String
    private let replaces: Bool
    /// How many bytes have been written.
    public private(set) var byteCount = 0

    /// Writes to `descriptor`; `replaces` tells, for messages, whether `path` exists already.
    package init(descriptor: Int32, path: String, replaces: Bool) {
        self.descriptor = descriptor
        self.path = path
        self.replaces = replaces
    }

    /// Appends all of `bytes`.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let chunk = UnsafeRawBufferPointer(rebasing: rest)
            let written = Glibc.write(descriptor, chunk.baseAddress, chunk.count)
            if written > 0 {
                rest = rest.dropFirst(written)
                byteCount += written
            } else if written == 0 || errno != EINTR {
                throw FileWriter.error(
                    written == 0 ? ENOSPC : errno, path: path, replaces: replaces)
            }
        }
    }

    /// Appends all of `data`.
    public func write(_ data: Data) throws { try data.withUnsafeBytes { try write($0) } }

    /// Appends `text` in UTF-8.
    public func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Waits until all bytes are on the disk.
    package func synchronize() throws {
        while fsync(descriptor) != 0 {
            guard errno == EINTR else {
                throw FileWriter.error(errno, path: path, replaces: replaces)
            }
        }
    }

    /// The message for a system call that failed with `code` before `path` was replaced.
    static func error(_ code: Int32, path: String, replaces: Bool) -> FileError {
        let fate = replaces ? "the previous file is untouched" : "no file was left behind"
        let (problem, remedy) =
            switch code {
            case ENOSPC: ("no space left on the device", "free space and run again")
            case EDQUOT: ("the disk quota is used up", "free space and run again")
            case EFBIG: ("the file size limit is reached", "raise it (ulimit -f) and run again")
            case EACCES, EPERM, EROFS:
                (
                    "this user may not write there (\(String(cString: strerror(code))))",
                    "choose another path"
                )
            default: (String(cString: strerror(code)), "check the disk and run again")
            }
        return FileError(
            path: path, message: "\(problem) while writing \(path); \(fate); \(remedy)")
    }
}
