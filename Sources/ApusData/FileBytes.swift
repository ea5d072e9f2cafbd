import CZlib
import Foundation

/// Whole files as bytes, with errors that say what is wrong.
package enum FileBytes {
    /// Reads a whole file; a name ending in `.gz` is decompressed.
    package static func readDecompressed(
        _ path: String, limit: Int = 1 << 32
    ) throws -> [UInt8] {
        let bytes = try read(path)
        return path.hasSuffix(".gz") ? try gunzip(bytes, name: path, limit: limit) : bytes
    }

    /// Reads a whole file; one of more than `limit` bytes is the error that `tooLarge` makes of its
    /// size.
    package static func read(
        _ path: String, limit: Int = .max, tooLarge: ((Int) -> DataError)? = nil
    ) throws -> [UInt8] {
        let file = try OpenFile(path)
        if file.size > limit, let tooLarge { throw tooLarge(file.size) }
        return try file.read(at: 0, count: file.size)
    }

    /// An open file that is read at any position, from any thread; gives fewer bytes than asked for
    /// only at the end of the file.
    package final class OpenFile: Sendable {
        package let path: String
        /// The size when the file was opened, in bytes.
        package let size: Int
        private let descriptor: Int32

        package init(_ path: String) throws {
            // Without O_NONBLOCK a named pipe would wait for a writer that never comes.
            descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard descriptor >= 0 else { throw unreadable(path, errno) }
            self.path = path
            var status = stat()
            guard fstat(descriptor, &status) == 0 else {
                let code = errno
                close(descriptor)
                throw unreadable(path, code)
            }
            guard status.st_mode & S_IFMT == S_IFREG else {
                close(descriptor)
                throw DataError(path, "is not a file", remedy: "give the path of a file")
            }
            size = Int(status.st_size)
        }

        deinit { close(descriptor) }

        package func read(at offset: Int, count wanted: Int) throws -> [UInt8] {
            try [UInt8](unsafeUninitializedCapacity: max(0, wanted)) { buffer, count in
                while count < wanted, let base = buffer.baseAddress {
                    let part = pread(
                        descriptor, base + count, wanted - count, off_t(offset + count))
                    if part < 0 && errno == EINTR { continue }
                    if part < 0 { throw unreadable(path, errno) }
                    if part == 0 { break }
                    count += part
                }
            }
        }
    }

    private static func unreadable(_ path: String, _ code: Int32) -> DataError {
        let reason = String(cString: strerror(code)).lowercased()
        return DataError(
            path, "cannot be read (\(reason))",
            remedy: code == ENOENT ? "check the path" : "check the file and its permissions")
    }

    /// Decompresses all members of a gzip file; more than `limit` bytes are an error, so that a
    /// small hostile file cannot fill the memory.
    package static func gunzip(
        _ bytes: [UInt8], name: String, limit: Int = 1 << 32
    ) throws -> [UInt8] {
        var stream = z_stream()
        guard apus_gunzip_begin(&stream) == Z_OK else {
            throw DataError(name, "cannot be decompressed", remedy: "free some memory")
        }
        defer { inflateEnd(&stream) }
        var output = [UInt8](repeating: 0, count: min(limit, max(1 << 16, bytes.count * 4)))
        var produced = 0
        var consumed = 0
        while true {
            if produced == output.count {
                guard produced < limit else {
                    throw DataError(
                        name, "decompresses to more than \(limit) bytes",
                        remedy: "check that it is the right file")
                }
                output.append(contentsOf: repeatElement(0, count: min(produced, limit - produced)))
            }
            let inputPart = min(bytes.count - consumed, 1 << 30)
            let outputPart = min(output.count - produced, 1 << 30)
            let status = bytes.withUnsafeBufferPointer { input in
                output.withUnsafeMutableBufferPointer { target in
                    // zlib only reads through next_in; its type lacks the const.
                    stream.next_in = UnsafeMutablePointer(
                        mutating: input.baseAddress.map { $0 + consumed })
                    stream.avail_in = UInt32(inputPart)
                    stream.next_out = target.baseAddress.map { $0 + produced }
                    stream.avail_out = UInt32(outputPart)
                    return inflate(&stream, Z_NO_FLUSH)
                }
            }
            consumed += inputPart - Int(stream.avail_in)
            produced += outputPart - Int(stream.avail_out)
            switch status {
            case Z_STREAM_END:
                if consumed == bytes.count {
                    output.removeLast(output.count - produced)
                    return output
                }
                inflateReset(&stream)
            case Z_OK: continue
            case Z_BUF_ERROR where produced == output.count: continue
            case Z_BUF_ERROR:
                throw DataError(
                    name, "is cut short (gzip data ends after \(bytes.count) bytes)",
                    remedy: "download it again")
            default:
                throw DataError(name, "is not valid gzip data", remedy: "download it again")
            }
        }
    }
}
