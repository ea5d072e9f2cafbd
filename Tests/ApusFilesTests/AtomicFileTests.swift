import ApusFiles
import ApusTensor
import Foundation
import Glibc
import Testing

@Suite(.serialized) struct AtomicFileTests {
    private struct Interruption: Error {}

    private func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    @Test func replacesAndKeepsTheMode() throws {
        let folder = try Folder()
        let path = folder.file("f")
        try AtomicFile.write(to: path) { try $0.write("one") }
        #expect(try text(path) == "one")
        #expect(chmod(path, 0o600) == 0)
        try AtomicFile.write(to: path) { writer in
            try writer.write("two ")
            try writer.write(Data("three".utf8))
            #expect(writer.byteCount == 9)
        }
        #expect(try text(path) == "two three")
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(try folder.names == ["f"])
    }

    @Test func followsSymbolicLinks() throws {
        let folder = try Folder()
        try AtomicFile.write(to: folder.file("f")) { try $0.write("one") }
        #expect(symlink("f", folder.file("link")) == 0)
        try AtomicFile.write(to: folder.file("link")) { try $0.write("two") }
        #expect(try text(folder.file("f")) == "two")
        #expect(try folder.names.sorted() == ["f", "link"])
    }

    @Test func leavesThePreviousFileOnErrors() throws {
        let folder = try Folder()
        let path = folder.file("f")
        try AtomicFile.write(to: path) { try $0.write("one") }
        #expect(throws: Interruption.self) {
            try AtomicFile.write(to: path) {
                try $0.write("half")
                throw Interruption()
            }
        }
        #expect(try text(path) == "one")
        #expect(try folder.names == ["f"])
    }

    @Test func namesAFullDisk() throws {
        let descriptor = open("/dev/full", O_WRONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let writer = FileWriter(descriptor: descriptor, path: "model", replaces: true)
        #expect(
            message { try writer.write("x") }
                == "no space left on the device while writing model; "
                + "the previous file is untouched; free space and run again")
    }

    @Test func removesTheTemporaryFileAtTheSizeLimit() throws {
        let folder = try Folder()
        let path = folder.file("f.safetensors")
        try Safetensors.write(tensors: [("x", Tensor([1], [5]))], to: path)
        let megabyte = [UInt8](repeating: 1, count: 1 << 20)
        let large = NamedTensor("x", dataType: .uint8, shape: [65, 1 << 20]) { write in
            for _ in 0..<65 { try megabyte.withUnsafeBytes { try write($0) } }
        }
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit()
        #expect(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
        let previous = limit
        // Far above what other tests write at the same time.
        limit.rlim_cur = 64 << 20
        #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
        let text = message {
            try Safetensors.write([large], to: path)
        }
        limit = previous
        #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
        #expect(text.contains("size limit is reached while writing \(path)"))
        #expect(text.contains("the previous file is untouched"))
        #expect(try Safetensors.read(path)["x"]?.floats() == [5])
        #expect(try folder.names == ["f.safetensors"])
    }

    @Test func namesBadTargets() throws {
        let folder = try Folder()
        let missing = folder.file("none/f")
        #expect(
            message { try AtomicFile.write(to: missing) { _ in } }
                .contains("its directory does not exist"))
        #expect(
            message { try AtomicFile.write(to: "/proc/f") { _ in } }
                .contains("its directory takes no new files"))
        #expect(
            message { try AtomicFile.write(to: folder.path) { _ in } }.contains("is a directory"))
        #expect(
            message { try AtomicFile.write(to: "/dev/null") { _ in } }
                .contains("is not a plain file"))
    }
}
