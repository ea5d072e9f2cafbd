import ApusFiles
import Foundation
import Testing

@Suite("TensorBoard event files")
struct EventFileTests {
    private func hex(_ bytes: some Collection<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The first three of RFC 3720, appendix B.4; the last is the usual check of the polynomial.
    @Test("Checksums")
    func checksums() {
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)[...]) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)[...]) == 0x62A8_AB43)
        #expect(CRC32C.checksum([UInt8](0..<32)[...]) == 0x46DD_794E)
        #expect(CRC32C.checksum(Array("123456789".utf8)[...]) == 0xE306_9283)
    }

    /// What TensorBoard 2's RecordWriter and its generated messages write.
    @Test("Bytes are TensorBoard's")
    func bytes() {
        #expect(hex(EventFile.framed([5, 6, 7])) == "0300000000000000b099490e050607d5b812e4")
        #expect(
            hex(EventRecord.version(wallTime: 1.5).bytes)
                == "09000000000000f83f1a0d627261696e2e4576656e743a32")
        #expect(
            hex(EventRecord.scalars([("a/b", 0.25), ("c", -2)], step: 300, wallTime: 1.5).bytes)
                == "09000000000000f83f10ac022a160a0a0a03612f62150000803e0a080a016315000000c0")
        #expect(
            hex(
                EventRecord.image(
                    "i", png: [1, 2], width: 3, height: 2, channels: 1, step: 2, wallTime: 1.5
                ).bytes) == "09000000000000f83f10022a110a0f0a0169220a08021003180122020102")
        // Its message of step 0 leaves the step out.
        let histogram = EventRecord.histogram(
            "w", [-1, 3, 3, -0.5, .nan], buckets: 2, step: 0, wallTime: 1.5)
        #expect(
            hex(histogram.bytes).hasSuffix(
                "3210000000000000f03f00000000000008403a1000000000000000400000000000000040"))
        #expect(EventRecord.step(of: histogram.bytes[...]) == 0)
    }

    @Test("A continued file keeps what was before, whole, and nothing twice")
    func continued() throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "apus-events-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/events.out.tfevents.apus"
        func steps() -> [Int?] {
            EventFile.records([UInt8](FileManager.default.contents(atPath: path) ?? Data()))
                .map { EventRecord.step(of: $0) }
        }
        let file = try EventFile(path, upTo: 0)
        #expect(file.isEmpty)
        for step in [10, 20, 30] {
            try file.append(.scalars([("loss", 1)], step: step, wallTime: 0))
        }
        #expect(!file.isEmpty && steps() == [0, 10, 20, 30])
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        // Cut off in the middle of the last event, and continued from step 20.
        try whole.dropLast(3).write(to: URL(fileURLWithPath: path))
        let continued = try EventFile(path, upTo: 20)
        #expect(!continued.isEmpty && steps() == [0, 10, 20])
        try continued.append(.scalars([("loss", 1)], step: 30, wallTime: 0))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole)
        // Every damaged byte costs no more than what comes behind it.
        for position in stride(from: 0, to: whole.count, by: 7) {
            var damaged = [UInt8](whole)
            damaged[position] ^= 0x40
            #expect(EventFile.records(damaged).count < 4)
        }
        _ = try EventFile(path, upTo: 5)
        #expect(steps() == [0])
        #expect(EventRecord.step(of: [0x0A, 0xFF, 0xFF, 0x7F]) == nil)
    }
}
