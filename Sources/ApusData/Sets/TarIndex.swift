/// Where the files of a tar archive lie, found by reading its headers once.
///
/// Reads POSIX ustar, GNU's long names and large sizes, and the paths and sizes of pax headers;
/// folders, links and the like are passed over.
struct TarIndex {
    struct Member {
        let name: String
        let offset: Int
        let size: Int
    }

    let members: [Member]

    /// More bytes of name are a sign of damage, not of a long name.
    private static let longestName = 1 << 16

    init(_ file: FileBytes.OpenFile) throws {
        var reader = Reader(file: file)
        var members: [Member] = []
        while let member = try reader.next() { members.append(member) }
        self.members = members
    }

    private struct Reader {
        let file: FileBytes.OpenFile
        var position = 0

        /// What is known of the next member before its own header.
        private struct Extended {
            var name: String?
            var size: Int?
        }

        init(file: FileBytes.OpenFile) { self.file = file }

        mutating func next() throws -> Member? {
            var extended = Extended()
            while let header = try nextHeader() {
                let size = try self.size(header, extended)
                let offset = position + 512
                // Both are far below 2^62, so nothing overflows.
                guard size <= file.size - offset else {
                    throw damaged(
                        "is cut short inside \(name(header, extended))", "download it again")
                }
                position = offset + (size + 511) / 512 * 512
                switch header[156] {
                case UInt8(ascii: "L"):
                    extended.name = String(
                        decoding: try text(at: offset, size).prefix { $0 != 0 }, as: UTF8.self)
                case UInt8(ascii: "x"):
                    try readPax(text(at: offset, size), into: &extended)
                case UInt8(ascii: "g"), UInt8(ascii: "K"): break
                case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
                    return Member(name: name(header, extended), offset: offset, size: size)
                default: extended = Extended()
                }
            }
            return nil
        }

        /// The header at the position; nil at the end, which is a block of zeros or of the file.
        private mutating func nextHeader() throws -> [UInt8]? {
            let header = try file.read(at: position, count: 512)
            if header.isEmpty || header.allSatisfy({ $0 == 0 }) { return nil }
            guard header.count == 512 else {
                throw damaged("is cut short inside a header", "download it again")
            }
            // The checksum counts its own field as spaces.
            let field = header[148..<156].reduce(0) { $0 + Int($1) }
            let sum = header.reduce(0) { $0 + Int($1) } - field + 8 * 32
            guard let stated = octal(header[148..<156]), stated == sum else {
                throw damaged(
                    position == 0
                        ? "is not a tar archive"
                        : "has a damaged header at byte \(position)",
                    header.starts(with: [0x1F, 0x8B])
                        ? "unpack it with gunzip first: images are read from anywhere in it"
                        : "write or download it again")
            }
            return header
        }

        private func size(_ header: [UInt8], _ extended: Extended) throws -> Int {
            if let size = extended.size { return size }
            let field = header[124..<136]
            if field[124] & 0x80 != 0 {
                // GNU: a binary number. More than seven bytes of it are no real size.
                let value = field.dropFirst(5).reduce(0) { $0 << 8 | Int($1) }
                guard field[124] == 0x80, field[125..<129].allSatisfy({ $0 == 0 }),
                    value <= 1 << 55
                else {
                    throw damaged("has an impossible size at byte \(position)", "write it again")
                }
                return value
            }
            guard let size = octal(field) else {
                throw damaged("has a size that is no number at byte \(position)", "write it again")
            }
            return size
        }

        private func name(_ header: [UInt8], _ extended: Extended) -> String {
            if let name = extended.name { return name }
            func field(_ range: Range<Int>) -> String {
                String(decoding: header[range].prefix { $0 != 0 }, as: UTF8.self)
            }
            // GNU's older format has other things where POSIX has the prefix.
            let isPosix = header[257..<263].elementsEqual(Array("ustar\0".utf8))
            let prefix = isPosix ? field(345..<500) : ""
            return prefix.isEmpty ? field(0..<100) : "\(prefix)/\(field(0..<100))"
        }

        private func octal(_ field: ArraySlice<UInt8>) -> Int? {
            let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
            guard digits.count <= 12 else { return nil }
            var value = 0
            for digit in digits {
                guard (0x30...0x37).contains(digit) else { return nil }
                value = value << 3 | Int(digit - 0x30)
            }
            return value
        }

        private func text(at offset: Int, _ size: Int) throws -> [UInt8] {
            guard size <= TarIndex.longestName else {
                throw damaged("has a name of \(size) bytes", "write it again")
            }
            return try file.read(at: offset, count: size)
        }

        /// Lines of "length key=value\n", the length counting itself.
        private func readPax(_ bytes: [UInt8], into extended: inout Extended) throws {
            var rest = bytes[...]
            while !rest.isEmpty, rest.first != 0 {
                let digits = rest.prefix { (0x30...0x39).contains($0) }
                guard digits.count <= 6, let length = Int(String(decoding: digits, as: UTF8.self)),
                    length > digits.count + 1, length <= rest.count
                else { throw damaged("has a damaged pax header", "write it again") }
                let record = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
                rest = rest.dropFirst(length)
                guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { continue }
                let value = String(decoding: record[(equals + 1)...], as: UTF8.self)
                switch String(decoding: record[..<equals], as: UTF8.self) {
                case "path": extended.name = value
                case "size":
                    guard let size = Int(value), (0...(1 << 55)).contains(size) else {
                        throw damaged("has a size that is no number", "write it again")
                    }
                    extended.size = size
                default: break
                }
            }
        }

        private func damaged(_ problem: String, _ remedy: String) -> DataError {
            DataError(file.path, problem, remedy: remedy)
        }
    }
}
