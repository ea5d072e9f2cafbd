import ApusGraph
import ApusTensor

/// The networks the command knows by name.
public enum Models {
    /// A name that is not known.
    public struct UnknownModel: Error, Hashable, CustomStringConvertible {
        public let name: String
        /// The nearest known name.
        public let suggestion: String

        public var description: String {
            "unknown model '\(name)'; did you mean '\(suggestion)'? `apus models` lists all"
        }
    }

    /// Names to list. The CIFAR families take any depth 6n + 2.
    public static let names: [String] =
        ResNet.published.map { "resnet\($0.depth)" }
        + ResNet.published.map { "resnet\($0.depth)-cifar" }
        + [20, 32, 44, 56, 110].map { "resnet\($0)-cifar" }
        + [20, 32, 44, 56, 110].map { "resnet\($0)-b-cifar" }
        + ["plain18", "plain34"]
        + [20, 32, 44, 56, 110].map { "plain\($0)-cifar" }

    /// The network called `name` for images of shape `input` [channels, height, width] (nil: the
    /// usual one) and `classes` (nil: the usual number).
    ///
    /// `-cifar` means a network for small images: the family of depth 6n + 2, or for the published
    /// depths 18, 34, 50, 101 and 152 the ImageNet network with a 3x3 stem and no max pooling.
    /// Throws `UnknownModel`.
    public static func named(
        _ name: String, input: Shape? = nil, classes: Int? = nil
    ) throws -> Network {
        let small = name.hasSuffix("-cifar")
        let stem = ResNet.Stem(small: small)
        let base = small ? String(name.dropLast("-cifar".count)) : name
        let input = input ?? (small ? [3, 32, 32] : [3, 224, 224])
        let classes = classes ?? (small ? 10 : 1000)

        if base.hasPrefix("resnet"), let depth = Int(base.dropFirst(6)),
            let row = ResNet.published.first(where: { $0.depth == depth })
        {
            return ResNet.imageNet(
                name, block: row.block, stages: row.stages, stem: stem, input: input,
                classes: classes)
        }
        if base.hasPrefix("plain"), let depth = Int(base.dropFirst(5)), [18, 34].contains(depth),
            let row = ResNet.published.first(where: { $0.depth == depth })
        {
            return PlainNet.imageNet(
                name, stages: row.stages, stem: stem, input: input, classes: classes)
        }
        if small {
            let optionB = base.hasSuffix("-b")
            let family = optionB ? String(base.dropLast(2)) : base
            if family.hasPrefix("resnet"), let depth = Int(family.dropFirst(6)),
                ResNet.isCIFARDepth(depth)
            {
                return ResNet.cifar(
                    depth: depth, shortcut: optionB ? .projection : .padding, input: input,
                    classes: classes)
            }
            if family.hasPrefix("plain"), !optionB, let depth = Int(family.dropFirst(5)),
                ResNet.isCIFARDepth(depth)
            {
                return PlainNet.cifar(depth: depth, input: input, classes: classes)
            }
        }
        let nearest = names.min { editDistance(name, $0) < editDistance(name, $1) }
        throw UnknownModel(name: name, suggestion: nearest ?? "resnet18")
    }

    /// Insertions, deletions and replacements that turn one name into the other (Levenshtein).
    static func editDistance(_ a: String, _ b: String) -> Int {
        let b = Array(b)
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let replaced = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}

extension ResNet.Stem {
    fileprivate init(small: Bool) { self = small ? .small : .imageNet }
}
