/// Classes from labels as texts: the distinct ones, in order of their values if all are whole
/// numbers, else of their bytes.
struct ClassLabels {
    let classNames: [String]
    /// -1 where there are no labels.
    let labels: [Int32]

    /// - Parameters:
    ///   - texts: the label of every image; either all have one, or none has
    ///   - classNames: the classes if they are known, as those of the training split are for the
    ///     test split; any other label is then an error
    ///   - name: what errors call an image
    init(_ texts: [String?], classNames known: [String]? = nil, name: (Int) -> String) throws {
        let present = Set(texts.compactMap(\.self))
        if present.isEmpty, known?.isEmpty ?? true {
            classNames = []
            labels = .init(repeating: -1, count: texts.count)
            return
        }
        if let index = texts.firstIndex(where: { $0?.isEmpty ?? true }) {
            throw DataError(
                name(index), "has no label, but other images have",
                remedy: "label it or leave it out")
        }
        let classes = known ?? Self.ordered(present)
        let positions = Dictionary(
            classes.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
        classNames = classes
        labels = try texts.enumerated().map { index, text in
            let text = text ?? ""
            guard let label = positions[text] else {
                throw DataError(
                    name(index), "has the label \"\(text)\", which no training image has",
                    remedy: "correct it or use one of \(Self.few(classes))")
            }
            return label
        }
    }

    private static func ordered(_ names: Set<String>) -> [String] {
        let numbered = names.compactMap { name in Int(name).map { (name, $0) } }
        if numbered.count == names.count {
            return numbered.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func few(_ names: [String]) -> String {
        names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", ..." : "")
    }
}
