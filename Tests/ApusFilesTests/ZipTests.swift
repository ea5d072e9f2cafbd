import ApusFiles
import Foundation
import Testing

@Suite struct ZipTests {
    private func error(_ data: Data) -> String {
        message { _ = try PyTorchCheckpoint.decode(data, path: "f") }
    }

    /// The position of `bytes` in `data`, from behind.
    private func last(_ bytes: [UInt8], in data: Data) throws -> Int {
        try #require(data.range(of: Data(bytes), options: .backwards)).lowerBound
    }

    @Test func compressedEntriesAreRefused() throws {
        var data = try fixtureData("nested-zip.pth")
        data[try last([0x50, 0x4B, 1, 2], in: data) + 10] = 8
        #expect(error(data).contains("compressed or encrypted entry"))
    }

    @Test func duplicateEntriesAreRefused() throws {
        var data = try fixtureData("nested-zip.pth")
        // In the directory, call entry data/1 data/0.
        data[try last(Array("/data/1".utf8), in: data) + 6] = UInt8(ascii: "0")
        #expect(error(data).contains("data/0` twice"))
    }

    @Test func bigEndianIsRefused() throws {
        var data = try fixtureData("nested-zip.pth")
        let order = try #require(data.range(of: Data("little".utf8)))
        data.replaceSubrange(order, with: Data("biggie".utf8))
        #expect(error(data).contains("big-endian"))
    }

    @Test func theEndMustBeThere() throws {
        let data = try fixtureData("nested-zip.pth")
        #expect(error(data.dropLast(1)).contains("zip archive without its end"))
        #expect(error(data.prefix(4)).contains("zip archive without its end"))
    }

    @Test func otherArchivesAreNamed() throws {
        var data = try fixtureData("nested-zip.pth")
        data[try last(Array("data.pkl".utf8), in: data)] = UInt8(ascii: "D")
        #expect(error(data).contains("not a PyTorch checkpoint: it has no data.pkl"))
    }

    @Test func largeArchiveRecordsAreRead() throws {
        let data = [UInt8](try fixtureData("nested-zip.pth"))
        let end = try last([0x50, 0x4B, 5, 6], in: Data(data))
        let number = { (position: Int, count: Int) in
            data[position..<position + count].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        var position = try #require(Data(data).range(of: Data([0x50, 0x4B, 1, 2]))).lowerBound
        var result = Array(data[..<position])
        let directory = result.count
        while position < end, number(position, 4) == 0x0201_4B50 {
            // Every size and offset moves to the extra field for 64-bit numbers.
            let (name, extra, comment) = (
                number(position + 28, 2), number(position + 30, 2), number(position + 32, 2)
            )
            var record = Array(data[position..<position + 46 + name])
            let size = UInt64(number(position + 24, 4)).bytes
            let offset = UInt64(number(position + 42, 4)).bytes
            record.replaceSubrange(20..<28, with: [UInt8](repeating: 0xFF, count: 8))
            record.replaceSubrange(30..<32, with: UInt16(28).bytes)
            record.replaceSubrange(42..<46, with: [UInt8](repeating: 0xFF, count: 4))
            result += record + UInt16(1).bytes + UInt16(24).bytes + size + size + offset
            result += data[position + 46 + name + extra..<position + 46 + name + extra + comment]
            position += 46 + name + extra + comment
        }
        let longEnd = result.count
        result += [0x50, 0x4B, 6, 6] + UInt64(44).bytes + [UInt8](repeating: 0, count: 28)
        result += UInt64(longEnd - directory).bytes + UInt64(directory).bytes
        result += [0x50, 0x4B, 6, 7] + UInt32(0).bytes + UInt64(longEnd).bytes + UInt32(1).bytes
        result += [0x50, 0x4B, 5, 6] + [UInt8](repeating: 0, count: 4)
        result += [UInt8](repeating: 0xFF, count: 12) + UInt16(0).bytes
        let file = try PyTorchCheckpoint.decode(Data(result), path: "f")
        #expect(file.names.first == "conv1.weight")
        #expect(error(Data(result.dropLast(23))).contains("without its end"))
    }
}
