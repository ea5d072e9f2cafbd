/// Which split a file is of, by words of its name such as `photos-train-003.tar`.
enum SplitName {
    private static let testWords = ["test", "val", "valid", "validation"]

    /// What the name says; nil if it says nothing.
    static func split(of file: String) -> Split? {
        let words = file.lowercased().split { !$0.isLetter }
        if words.contains(where: { testWords.contains(String($0)) }) { return .test }
        return words.contains("train") ? .train : nil
    }

    /// The path of the test split beside that of the training split; nil if there is none.
    static func test(of path: String, exists: (String) -> Bool) -> String? {
        candidates(path).first(where: exists)
    }

    /// A name that would be taken for the test split.
    static func example(_ path: String) -> String {
        candidates(path).first ?? "a list called ...train... and one called ...test..."
    }

    /// The path with the last `train` of its file name replaced by each word for the test split.
    private static func candidates(_ path: String) -> [String] {
        let start = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
        var end = path.endIndex
        while end > start {
            end = path.index(before: end)
            if path[end...].hasPrefix("train") {
                let rest = path[path.index(end, offsetBy: 5)...]
                return testWords.map { path[..<end] + $0 + rest }
            }
        }
        return []
    }
}

/// The archives of both splits.
struct Shards {
    let train: [String]
    /// Nil if there is no test split.
    let test: [String]?

    /// Finds them by a file, a pattern, or a folder that holds them directly or in `train/` and
    /// `test/` (or `val/`).
    init(_ path: String) throws {
        if FileListing.isDirectory(path) {
            let files = try Self.files(in: path)
            if files.contains(where: { $0.split == .train }) || !files.contains(where: \.isTest) {
                train = files.filter { !$0.isTest }.map(\.path)
                let test = files.filter(\.isTest).map(\.path)
                self.test = test.isEmpty ? nil : test
            } else {
                throw DataError(
                    path, "has archives of the test split alone",
                    remedy: "add archives called ...train...")
            }
        } else {
            train = try ShardPattern.expand(path)
            test = try SplitName.test(of: path) { candidate in
                FileListing.exists(
                    (try? ShardPattern.expand(candidate).first) ?? candidate)
            }.map(ShardPattern.expand)
        }
        guard !train.isEmpty else {
            throw DataError(path, "has no .tar archives", remedy: "give a folder that has some")
        }
    }

    struct File {
        let path: String
        let split: Split?
        var isTest: Bool { split == .test }
    }

    /// The archives of a folder; those in `train/`, `test/` and `val/` are of that split.
    static func files(in directory: String) throws -> [File] {
        func archives(_ folder: String) throws -> [String] {
            try FileListing.entries(of: folder).filter {
                !$0.isFolder && $0.name.lowercased().hasSuffix(".tar")
            }.map(\.name)
        }
        let direct = try archives(directory)
        if !direct.isEmpty {
            return direct.map {
                File(path: "\(directory)/\($0)", split: SplitName.split(of: $0))
            }
        }
        return try [("train", Split.train), ("test", .test), ("val", .test)]
            .filter { FileListing.isDirectory("\(directory)/\($0.0)") }
            .flatMap { name, split in
                try archives("\(directory)/\(name)").map {
                    File(path: "\(directory)/\(name)/\($0)", split: split)
                }
            }
    }
}
