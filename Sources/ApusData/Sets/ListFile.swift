import Foundation

/// A text file that names images, with or without labels: CSV with a header, JSON lines, or one path
/// a line.
enum ListFile {
    struct Item {
        let file: String
        let label: String?
        let line: Int
    }

    /// The endings that are taken for lists.
    static let endings = [".csv", ".jsonl", ".ndjson", ".txt", ".tsv"]

    static func isList(_ path: String) -> Bool {
        endings.contains { path.lowercased().hasSuffix($0) }
    }

    static func read(_ path: String) throws -> [Item] {
        let bytes = try FileBytes.read(path)
        guard var text = String(validating: bytes, as: UTF8.self) else {
            throw DataError(path, "is not UTF-8 text", remedy: "save it as UTF-8")
        }
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        let name = path.lowercased()
        let items =
            if name.hasSuffix(".csv") {
                try tableItems(CSV.records(text, separator: ",", path: path), path)
            } else if name.hasSuffix(".tsv") {
                try tableItems(CSV.records(text, separator: "\t", path: path), path)
            } else if name.hasSuffix(".jsonl") || name.hasSuffix(".ndjson") {
                try jsonItems(text, path)
            } else {
                lineItems(text)
            }
        guard !items.isEmpty else {
            throw DataError(path, "names no images", remedy: "write one image a line")
        }
        return items
    }

    // MARK: Formats

    private static func tableItems(_ records: [CSV.Record], _ path: String) throws -> [Item] {
        guard let header = records.first else { return [] }
        let columns = header.fields.map { $0.lowercased().trimmingCharacters(in: .whitespaces) }
        func column(_ names: [String]) -> Int? { columns.firstIndex { names.contains($0) } }
        guard let file = column(["file", "filename", "path", "image"]) else {
            throw DataError(
                "\(path) line 1", "has no column called file (it has \(header.fields))",
                remedy: "write a first line such as file,label")
        }
        let label = column(["label", "class"])
        return try records.dropFirst().map { record in
            guard record.fields.count == columns.count else {
                throw DataError(
                    "\(path) line \(record.line)",
                    "has \(record.fields.count) fields, the first line has \(columns.count)",
                    remedy: "quote fields that hold a separator")
            }
            return try item(
                record.fields[file], label.map { record.fields[$0] }, path, record.line)
        }
    }

    private static func jsonItems(_ text: String, _ path: String) throws -> [Item] {
        try lines(text).map { line, content in
            guard let row = JSONRow(content.utf8), let file = row.text(["file", "path"]) else {
                throw DataError(
                    "\(path) line \(line)", "is no JSON object with a \"file\"",
                    remedy: "write lines such as {\"file\": \"a.jpg\", \"label\": \"cat\"}")
            }
            return try item(file, row.text(["label", "class"]), path, line)
        }
    }

    /// A path alone, or a path, a tab or a space, and a label. A label that holds spaces needs the
    /// tab; a line that ends like an image is a path, spaces and all.
    private static func lineItems(_ text: String) -> [Item] {
        lines(text).map { line, content in
            let separator = content.lastIndex(of: "\t") ?? content.lastIndex(of: " ")
            guard let separator, ImageKind(fileName: String(content)) == nil else {
                return Item(file: String(content), label: nil, line: line)
            }
            return Item(
                file: content[..<separator].trimmingCharacters(in: .whitespaces),
                label: content[separator...].trimmingCharacters(in: .whitespaces), line: line)
        }
    }

    private static func lines(_ text: String) -> [(line: Int, content: String)] {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated()
            .map { ($0 + 1, $1.trimmingCharacters(in: .whitespaces)) }
            .filter { !$0.1.isEmpty }
    }

    private static func item(
        _ file: String, _ label: String?, _ path: String, _ line: Int
    ) throws -> Item {
        guard !file.isEmpty, !file.contains("\0") else {
            throw DataError("\(path) line \(line)", "names no file", remedy: "name one")
        }
        return Item(
            file: file, label: label.flatMap { $0.isEmpty ? nil : $0 }, line: line)
    }
}

/// A JSON object of which single members are asked for.
struct JSONRow {
    private let members: [String: Any]

    /// Nil unless `text` is one object.
    init?(_ text: some Collection<UInt8>) {
        guard let value = try? JSONSerialization.jsonObject(with: Data(text)),
            let members = value as? [String: Any]
        else { return nil }
        self.members = members
    }

    /// The first member of these names that is a text or a whole number.
    func text(_ names: [String]) -> String? {
        for name in names {
            if let text = members[name] as? String { return text }
            if let number = members[name] as? Int { return String(number) }
        }
        return nil
    }
}

/// Tables as RFC 4180 has them: fields may be quoted and then hold separators, breaks and "".
enum CSV {
    struct Record {
        /// Where it starts, from 1.
        let line: Int
        let fields: [String]
    }

    static func records(_ text: String, separator: Character, path: String) throws -> [Record] {
        var records: [Record] = []
        var fields: [String] = []
        var field = ""
        var line = 1
        var start = 1
        var isQuoted = false
        func finishField() {
            fields.append(field)
            field = ""
        }
        func finishRecord() {
            finishField()
            if fields != [""] { records.append(Record(line: start, fields: fields)) }
            fields = []
            start = line
        }
        var rest = text[...]
        while let character = rest.popFirst() {
            if character.isNewline { line += 1 }
            if isQuoted {
                if character != "\"" {
                    field.append(character)
                } else if rest.first == "\"" {
                    field.append("\"")
                    rest.removeFirst()
                } else {
                    isQuoted = false
                }
            } else if character == "\"", field.isEmpty {
                isQuoted = true
            } else if character == separator {
                finishField()
            } else if character.isNewline {
                finishRecord()
            } else {
                field.append(character)
            }
        }
        guard !isQuoted else {
            throw DataError(
                "\(path) line \(start)", "has a quotation mark that is never closed",
                remedy: "close it")
        }
        if !field.isEmpty || !fields.isEmpty { finishRecord() }
        return records
    }
}

extension FolderSource {
    /// Takes the images that a text file names, in its order; relative paths start at its folder.
    ///
    /// Files that do not exist are found when they are read, as damaged ones are, but a list of
    /// which nothing exists is an error at once.
    ///
    /// - Parameter classNames: as for class folders
    public init(list path: String, classNames: [String]? = nil) throws {
        let items = try ListFile.read(path)
        let root = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let labels = try ClassLabels(items.map(\.label), classNames: classNames) { index in
            "\(path) line \(items[index].line)"
        }
        self.init(
            root: root, paths: items.map(\.file), labels: labels.labels,
            classNames: labels.classNames)
        guard (0..<count).contains(where: { FileListing.exists(name(of: $0)) }) else {
            throw DataError(
                "\(path) line \(items[0].line)", "names \(name(of: 0)), which does not exist",
                remedy: "write paths that start at the folder of the list")
        }
    }
}
