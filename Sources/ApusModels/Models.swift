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

    /// Names to list. The CIFAR families take other depths and growth rates too.
    public static let names: [String] =
        ResNet.published.map { "resnet\($0.depth)" }
        + ResNet.published.map { "resnet\($0.depth)-cifar" }
        + [20, 32, 44, 56, 110].map { "resnet\($0)-cifar" }
        + [20, 32, 44, 56, 110].map { "resnet\($0)-b-cifar" }
        + ["plain18", "plain34"]
        + [20, 32, 44, 56, 110].map { "plain\($0)-cifar" }
        + DenseNet.published.map { "densenet\($0.depth)" }
        + DenseNet.published.map { "densenet\($0.depth)-cifar" }
        + ["densenet40-cifar", "densenet100-cifar"]
        + ["densenet-bc100-cifar", "densenet-bc190-k40-cifar"]
        + EfficientNet.published.map { "efficientnet-\($0.name)" }
        + ["efficientnet-b0-cifar"]

    /// The network called `name` for images of shape `input` [channels, height, width] (nil: the
    /// usual one) and `classes` (nil: the usual number).
    ///
    /// `-cifar` means a network for small images: a family of the papers, or for the published networks
    /// the ImageNet network with a 3x3 stem and less striding before the first blocks. The families are
    /// residual and plain networks of depth 6n + 2; `densenetL-cifar` of depth 3n + 4 and
    /// `densenet-bcL-cifar`, with bottlenecks and compression, of depth 6n + 4, with growth rate 12 or
    /// the one of `-kK` before `-cifar`. Underscores, as in torchvision's names, are read as hyphens.
    /// Throws `UnknownModel`.
    public static func named(
        _ name: String, input: Shape? = nil, classes: Int? = nil
    ) throws -> Network {
        let spelled = name
        let name = String(name.map { $0 == "_" ? "-" : $0 })
        let small = name.hasSuffix("-cifar")
        let stem = ResNet.Stem(small: small)
        let base = small ? String(name.dropLast("-cifar".count)) : name
        let classes = classes ?? (small ? 10 : 1000)
        if let variant = EfficientNet.published.first(where: { base == "efficientnet-\($0.name)" })
        {
            return EfficientNet.network(name, variant, stem: stem, input: input, classes: classes)
        }
        let input = input ?? (small ? [3, 32, 32] : [3, 224, 224])
        if base.hasPrefix("densenet"),
            let network = denseNet(name, base, stem: stem, input: input, classes: classes)
        {
            return network
        }
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
        throw UnknownModel(name: spelled, suggestion: nearest ?? "resnet18")
    }

    /// `densenet121`, or of the CIFAR family `densenet40`, `densenet-bc100`, `densenet-bc190-k40`.
    private static func denseNet(
        _ name: String, _ base: String, stem: ResNet.Stem, input: Shape, classes: Int
    ) -> Network? {
        var rest = base.dropFirst("densenet".count)
        if let row = DenseNet.published.first(where: { rest == "\($0.depth)" }) {
            return DenseNet.imageNet(
                name, channels: row.channels, blocks: row.blocks,
                rules: DenseNet.Rules(growth: row.growth), stem: stem, input: input,
                classes: classes)
        }
        let bottleneck = rest.hasPrefix("-bc")
        if bottleneck { rest = rest.dropFirst(3) }
        let parts = rest.split(separator: "-k", omittingEmptySubsequences: false)
        guard stem == .small, let depth = Int(parts[0]), parts.count <= 2,
            let growth = parts.count == 2 ? Int(parts[1]) : 12, (1...256).contains(growth),
            DenseNet.isCIFARDepth(depth, bottleneck: bottleneck)
        else { return nil }
        let rules = DenseNet.Rules(
            growth: growth, bottleneck: bottleneck, compression: bottleneck ? 0.5 : 1)
        return DenseNet.cifar(name, depth: depth, rules: rules, input: input, classes: classes)
    }

    /// Insertions, deletions and replacements that turn one name into the other (Levenshtein).
    package static func editDistance(_ a: String, _ b: String) -> Int {
        let b = Array(b.utf8)
        var row = Array(0...b.count)
        for (i, x) in a.utf8.enumerated() {
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
