/// A strict reader for the little JSON that tensor files need: objects without duplicate keys,
/// arrays, strings and natural numbers. It builds no tree and never recurses on its own.
struct JSONReader {
    private let path: String
    private let bytes: [UInt8]
    private var position = 0

    /// Reads `bytes`, which stand in the file at `path`.
    init(_ bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    /// Reads an object; `member` is called after each key and must read the value.
    mutating func object(_ member: (inout JSONReader, String) throws -> Void) throws {
        var keys = Set<String>()
        try sequence(from: "{", to: "}") { reader in
            let key = try reader.string()
            guard keys.insert(key).inserted else {
                throw reader.error("names \(quoted(key)) twice")
            }
            try reader.expect(":")
            try member(&reader, key)
        }
    }

    /// Reads an array; `element` is called for each element and must read it.
    mutating func array(_ element: (inout JSONReader) throws -> Void) throws {
        try sequence(from: "[", to: "]", element)
    }

    /// Reads a natural number.
    mutating func natural() throws -> Int {
        skipSpace()
        let start = position
        var value = 0
        while let digit = peek(), digit >= 0x30, digit <= 0x39 {
            let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowToo) = tenfold.addingReportingOverflow(Int(digit) - 0x30)
            guard !overflow, !overflowToo else { throw error("has a number beyond 64 bits") }
            value = sum
            position += 1
        }
        let isLeadingZero = position - start > 1 && bytes[start] == 0x30
        guard position > start, !isLeadingZero else {
            throw error("lacks a natural number")
        }
        return value
    }

    /// Reads a string.
    mutating func string() throws -> String {
        try expect("\"")
        var text: [UInt8] = []
        while true {
            guard let byte = peek() else { throw error("has an endless string") }
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw error("has a string that is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): text += try escape().utf8
            case 0..<0x20: throw error("has a control character in a string")
            default: text.append(byte)
            }
        }
    }

    /// Checks that only white space is left.
    mutating func end() throws {
        skipSpace()
        guard position == bytes.count else { throw error("goes on after its end") }
    }

    /// The error for a header that `problem`, at the present position.
    func error(_ problem: String) -> FileError {
        FileError(
            path, "has a header that \(problem) (at byte \(position))",
            remedy: "download or write the file again")
    }

    private mutating func sequence(
        from open: Unicode.Scalar, to close: Unicode.Scalar,
        _ element: (inout JSONReader) throws -> Void
    ) throws {
        try expect(open)
        skipSpace()
        if peek() == UInt8(ascii: close) {
            position += 1
            return
        }
        while true {
            try element(&self)
            skipSpace()
            guard peek() == UInt8(ascii: ",") else { break }
            position += 1
        }
        try expect(close)
    }

    private mutating func escape() throws -> String {
        guard let byte = peek() else { throw error("has an endless string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            return String(Unicode.Scalar(byte))
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var units = [try codeUnit()]
            if UTF16.isLeadSurrogate(units[0]) {
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { throw error("has half a surrogate pair") }
                position += 2
                units.append(try codeUnit())
            }
            guard let text = String(validating: units, as: UTF16.self) else {
                throw error("has half a surrogate pair")
            }
            return text
        default: throw error("has an unknown escape in a string")
        }
    }

    private mutating func codeUnit() throws -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue
            else { throw error("has a bad \\u escape") }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    private mutating func expect(_ scalar: Unicode.Scalar) throws {
        skipSpace()
        guard peek() == UInt8(ascii: scalar) else { throw error("lacks `\(scalar)`") }
        position += 1
    }

    private mutating func skipSpace() {
        while let byte = peek(),
            byte == 0x20 || (byte >= 9 && byte <= 13 && byte != 11 && byte != 12)
        {
            position += 1
        }
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }
}
