/// Reads every image of a data set once and tells what is wrong with it.
public enum DataCheck {
    /// Images are tiny if their short side is less than a quarter of the usual one and 32 pixels.
    static let tinySide = 32
    static let tinyShare = 4
    /// Images are huge if they have more pixels than 16 times the usual number and 4 million.
    static let hugePixels = 4_000_000
    static let hugeFactor = 16
    /// Images are oblong if a side is more than so many times the other.
    static let oblongRatio = 4

    /// Checks all splits on so many threads. `progress` is told how many images of how many are
    /// done, and throws to stop.
    public static func run(
        _ splits: [(split: Split, source: any ImageSource)], threads: Int,
        progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> DataFindings {
        var findings = DataFindings()
        var sums = ChannelSums()
        var looks: [(image: CheckedImage, look: Look)] = []
        let total = splits.map(\.source.count).reduce(0, +)
        for (split, source) in splits {
            findings.otherFiles += source.otherFiles
            let names = source.classNames
            try OrderedMap.run(
                count: source.count, threads: threads,
                work: { Look(source, $0) },
                take: { index, look in
                    let label = source.label(at: index)
                    let image = CheckedImage(
                        name: source.name(of: index), split: split, index: index,
                        label: names.indices.contains(label) ? names[label] : nil)
                    findings.images += 1
                    findings.bytes += look.bytes
                    findings.problems += look.problems.map {
                        ImageFinding(problem: $0.problem, image: image, detail: $0.detail)
                    }
                    if let readable = look.sums {
                        findings.readable += 1
                        sums.add(readable)
                    }
                    looks.append((image, look))
                    try progress(findings.images, total)
                })
        }
        let sizes = looks.compactMap(\.look.size)
        findings.shortSides = .init(sizes.map { min($0.height, $0.width) })
        findings.longSides = .init(sizes.map { max($0.height, $0.width) })
        if sums.images > 0 {
            (findings.mean, findings.deviation) = sums.statistics(channels: sums.hasColor ? 3 : 1)
        }
        findings.problems += outliers(looks)
        findings.duplicates = duplicates(looks)
        findings.classes = classes(splits, looks.map(\.image))
        let rank = Dictionary(
            uniqueKeysWithValues: ImageProblem.allCases.enumerated().map { ($1, $0) })
        // Stable, so images of one problem stay in order.
        findings.problems.sort { (rank[$0.problem] ?? 0) < (rank[$1.problem] ?? 0) }
        return findings
    }

    private static func outliers(
        _ looks: [(image: CheckedImage, look: Look)]
    ) -> [ImageFinding] {
        let sizes = looks.compactMap(\.look.size)
        guard !sizes.isEmpty else { return [] }
        let usualSide = sizes.map { min($0.height, $0.width) }.sorted()[sizes.count / 2]
        let usualPixels = sizes.map { $0.height * $0.width }.sorted()[sizes.count / 2]
        var problems: [ImageFinding] = []
        for (image, look) in looks {
            guard let size = look.size else { continue }
            func add(_ problem: ImageProblem, _ detail: String) {
                problems.append(ImageFinding(problem: problem, image: image, detail: detail))
            }
            let (short, long) = (min(size.height, size.width), max(size.height, size.width))
            if short < tinySide, short * tinyShare < usualSide {
                add(.tiny, "is \(size), the usual short side is \(usualSide)")
            }
            if size.height * size.width > max(hugePixels, hugeFactor * usualPixels) {
                add(.huge, "is \(size), the usual short side is \(usualSide)")
            }
            if long > oblongRatio * short { add(.oblong, "is \(size)") }
        }
        return problems
    }

    private static func duplicates(
        _ looks: [(image: CheckedImage, look: Look)]
    ) -> [DuplicateGroup] {
        var same: [Content: [Int]] = [:]
        for (position, entry) in looks.enumerated() {
            if let content = entry.look.content { same[content, default: []].append(position) }
        }
        let exact = same.values.filter { $0.count > 1 }.sorted { $0[0] < $1[0] }
        // One of each content is enough to find what looks the same.
        let unique = same.values.map { $0[0] }.sorted()
        let seen = unique.compactMap { position in
            looks[position].look.hash.map { (position, $0) }
        }
        let near = NearDuplicates.groups(seen.map(\.1)).map { $0.map { seen[$0].0 } }
        return exact.map { DuplicateGroup(isExact: true, images: $0.map { looks[$0].image }) }
            + near.map { DuplicateGroup(isExact: false, images: $0.map { looks[$0].image }) }
    }

    private static func classes(
        _ splits: [(split: Split, source: any ImageSource)], _ images: [CheckedImage]
    ) -> [ClassCount] {
        var counts: [Split: [String: Int]] = [:]
        for image in images {
            if let label = image.label { counts[image.split, default: [:]][label, default: 0] += 1 }
        }
        return (splits.first?.source.classNames ?? []).map { name in
            ClassCount(
                name: name, train: counts[.train]?[name] ?? 0, test: counts[.test]?[name] ?? 0)
        }
    }
}

/// What decides whether two images are the same file.
struct Content: Hashable, Sendable {
    let hash: UInt64
    let bytes: Int
}

/// What is remembered of one image.
struct Look: Sendable {
    var bytes = 0
    /// Nil for images that cannot be decoded.
    var size: ImageSize?
    var sums: ImageSums?
    /// Nil for images of one color, which look all the same.
    var hash: PerceptualHash?
    /// Nil for files that cannot be read.
    var content: Content?
    var problems: [(problem: ImageProblem, detail: String)] = []

    init(_ source: any ImageSource, _ index: Int) {
        let name = source.name(of: index)
        let stored: StoredImage
        do {
            stored = try source.stored(at: index)
        } catch {
            problems = [(.unreadable, Self.words(error, name))]
            return
        }
        switch stored {
        case .decoded(let image):
            content = Content(hash: XXHash64.hash(image.pixels), bytes: image.pixels.count)
            bytes = image.pixels.count
            note(image)
        case .encoded(let file):
            content = Content(hash: XXHash64.hash(file), bytes: file.count)
            bytes = file.count
            guard let kind = ImageKind(content: file) else {
                let error = Result { try source.decoder.decode(file, name: name) }.failure
                problems = [(.noImage, error.map { Self.words($0, name) } ?? "is of no known kind")]
                return
            }
            if Self.hasFileNames(source),
                let stated = ImageKind(fileName: source.stableName(of: index)), stated != kind
            {
                problems.append((.wrongName, "is a \(kind) file named as \(stated)"))
            }
            do {
                note(try source.decoder.decode(file, name: name))
            } catch {
                problems.append(
                    (kind.isCutShort(file) ? .cutShort : .damaged, Self.words(error, name)))
            }
        }
    }

    private mutating func note(_ image: Image) {
        size = image.size
        sums = ImageSums(image)
        let first = image.pixels.prefix(image.channels)
        let isOneColor = stride(from: 0, to: image.pixels.count, by: image.channels).allSatisfy {
            image.pixels[$0..<$0 + image.channels].elementsEqual(first)
        }
        if isOneColor {
            problems.append((.oneColor, "has one color"))
        } else {
            hash = PerceptualHash(image)
        }
    }

    /// Packs keep the names of files that they have turned into others.
    private static func hasFileNames(_ source: any ImageSource) -> Bool {
        if let part = source as? SubsetSource { return hasFileNames(part.base) }
        return !(source is PackSource)
    }

    /// The problem without the name, which is given beside it.
    private static func words(_ error: any Error, _ name: String) -> String {
        guard let error = error as? DataError, error.place == name else { return "\(error)" }
        return error.problem
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
