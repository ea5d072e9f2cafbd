import ApusTensor

/// The JSON header of a safetensors file: what each tensor is and where its bytes lie.
struct SafetensorsHeader {
    /// The description of one tensor; offsets count from the end of the header.
    struct Entry {
        var name: String
        var dataType: DataType
        var dimensions: [Int]
        var begin: Int
        var end: Int
    }

    static let metadataKey = "__metadata__"
    static let maximumByteCount = 100_000_000
    static let maximumRank = 64

    /// The tensors in header order.
    var entries: [Entry] = []
    var metadata: [String: String] = [:]

    /// Reads the header out of its JSON text.
    init(_ json: [UInt8], path: String) throws {
        var reader = JSONReader(json, path: path)
        var entries: [Entry] = []
        var metadata: [String: String] = [:]
        try reader.object { reader, key in
            if key == Self.metadataKey {
                try reader.object { metadata[$1] = try $0.string() }
            } else {
                entries.append(try Self.entry(named: key, &reader))
            }
        }
        try reader.end()
        self.entries = entries
        self.metadata = metadata
    }

    private static func entry(named name: String, _ reader: inout JSONReader) throws -> Entry {
        var dataType: DataType?
        var dimensions: [Int]?
        var offsets: [Int]?
        try reader.object { reader, key in
            switch key {
            case "dtype":
                let code = try reader.string()
                dataType = DataType(safetensors: code)
                guard dataType != nil else {
                    throw reader.error(
                        "gives \(quoted(name)) the unknown element type \(quoted(code))")
                }
            case "shape": dimensions = try naturals(&reader, upTo: maximumRank)
            case "data_offsets": offsets = try naturals(&reader, upTo: 2)
            default: throw reader.error("gives \(quoted(name)) the unknown key \(quoted(key))")
            }
        }
        guard let dataType, let dimensions, let offsets, offsets.count == 2 else {
            throw reader.error("lacks the dtype, shape or data_offsets of \(quoted(name))")
        }
        guard let byteCount = dataType.byteCount(of: dimensions) else {
            throw reader.error("gives \(quoted(name)) a shape beyond 64 bits")
        }
        guard offsets[0] <= offsets[1] else {
            throw reader.error("lets \(quoted(name)) end before it begins")
        }
        guard offsets[1] - offsets[0] == byteCount else {
            throw reader.error(
                "gives \(quoted(name)), \(Shape(dimensions)) of \(dataType), "
                    + "\(byteText(offsets[1] - offsets[0])) instead of \(byteCount)")
        }
        return Entry(
            name: name, dataType: dataType, dimensions: dimensions, begin: offsets[0],
            end: offsets[1])
    }

    private static func naturals(_ reader: inout JSONReader, upTo limit: Int) throws -> [Int] {
        var values: [Int] = []
        try reader.array { reader in
            guard values.count < limit else {
                throw reader.error("lists more than \(limit) numbers")
            }
            values.append(try reader.natural())
        }
        return values
    }
}

extension DataType {
    /// The name of this type in a safetensors header.
    var safetensors: String {
        switch self {
        case .float64: "F64"
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int64: "I64"
        case .int32: "I32"
        case .int16: "I16"
        case .int8: "I8"
        case .uint8: "U8"
        case .bool: "BOOL"
        }
    }

    init?(safetensors code: String) {
        guard let type = DataType.allCases.first(where: { $0.safetensors == code }) else {
            return nil
        }
        self = type
    }
}
