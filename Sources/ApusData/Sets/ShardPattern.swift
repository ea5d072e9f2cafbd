/// Names of shards: `shard-{000..012}.tar` stands for thirteen files, `{a,b}.tar` for two.
enum ShardPattern {
    /// The most files a pattern may stand for.
    private static let most = 1_000_000

    static func isPattern(_ text: String) -> Bool { text.contains("{") && text.contains("}") }

    /// The names, in the order the pattern counts.
    static func expand(_ pattern: String) throws -> [String] {
        guard let open = pattern.firstIndex(of: "{"),
            let close = pattern[open...].firstIndex(of: "}")
        else { return [pattern] }
        let inner = pattern[pattern.index(after: open)..<close]
        let choices = try range(inner, pattern) ?? inner.split(separator: ",").map(String.init)
        let rests = try expand(String(pattern[pattern.index(after: close)...]))
        guard !choices.isEmpty, choices.count * rests.count <= most else {
            throw DataError(
                pattern, "stands for \(choices.count * rests.count) files",
                remedy: "use a pattern such as shard-{000..012}.tar")
        }
        return choices.flatMap { choice in rests.map { pattern[..<open] + choice + $0 } }
    }

    /// The numbers of `000..012`, as wide as the first; nil if it is no range.
    private static func range(_ text: Substring, _ pattern: String) throws -> [String]? {
        let ends = text.split(separator: ".", omittingEmptySubsequences: false)
        guard ends.count == 3, ends[1].isEmpty else { return nil }
        guard let first = Int(ends[0]), let last = Int(ends[2]), first >= 0, last >= first,
            last - first < most
        else {
            throw DataError(
                pattern, "has the range {\(text)}",
                remedy: "count up, as in {000..012}, through at most \(most) files")
        }
        return (first...last).map { number in
            let digits = String(number)
            return String(repeating: "0", count: max(0, ends[0].count - digits.count)) + digits
        }
    }
}
