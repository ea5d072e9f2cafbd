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
    /// usual one) and `classes` (nil: the usual number). Throws `UnknownModel`.
    public static func named(
        _ name: String, input: Shape? = nil, classes: Int? = nil
    ) throws -> Network {
        try scalable(name).network(input: input, classes: classes)
    }

    /// The stages of the network called `name`, which it is made of and can be scaled by.
    ///
    /// `-cifar` means a network for small images: a family of the papers, or for the published networks
    /// the ImageNet network with a 3x3 stem and less striding before the first blocks. The families are
    /// residual and plain networks of depth 6n + 2; `densenetL-cifar` of depth 3n + 4 and
    /// `densenet-bcL-cifar`, with bottlenecks and compression, of depth 6n + 4, with growth rate 12 or
    /// the one of `-kK` before `-cifar`. Underscores, as in torchvision's names, are read as hyphens.
    /// Throws `UnknownModel`.
    public static func scalable(_ spelled: String) throws -> ScalableModel {
        let name = String(spelled.map { $0 == "_" ? "-" : $0 })
        let small = name.hasSuffix("-cifar")
        let stem = ResNet.Stem(small: small)
        let base = small ? name.dropLast("-cifar".count) : name[...]
        let families = [residual, plain, dense, efficient]
        for family in families {
            if let model = family(name, base, stem) { return model }
        }
        let nearest = names.min { editDistance(name, $0) < editDistance(name, $1) }
        throw UnknownModel(name: spelled, suggestion: nearest ?? "resnet18")
    }

    /// `resnet50`, or of the CIFAR family `resnet20`, `resnet20-b` and `resnet20-c`.
    private static func residual(
        _ name: String, _ base: Substring, _ stem: ResNet.Stem
    ) -> ScalableModel? {
        guard var rest = base.removing("resnet") else { return nil }
        if let row = ResNet.published.first(where: { rest == "\($0.depth)" }) {
            return .resNet(name, row.block, row.blocks, stem: stem)
        }
        let shortcuts: [Substring: ResNet.Shortcut] = ["-b": .projection, "-c": .projections]
        let shortcut = shortcuts[rest.suffix(2)]
        if shortcut != nil { rest = rest.dropLast(2) }
        guard stem == .small, let depth = Int(rest), ResNet.isCIFARDepth(depth) else { return nil }
        return .cifarResNet(name, depth: depth, shortcut ?? .padding)
    }

    /// `plain18`, `plain34`, or of the CIFAR family `plain20`.
    private static func plain(
        _ name: String, _ base: Substring, _ stem: ResNet.Stem
    ) -> ScalableModel? {
        guard let depth = base.removing("plain").flatMap({ Int($0) }) else { return nil }
        if [18, 34].contains(depth),
            let row = ResNet.published.first(where: { $0.depth == depth })
        {
            return .plainNet(name, row.blocks, stem: stem)
        }
        guard stem == .small, ResNet.isCIFARDepth(depth) else { return nil }
        return .cifarPlainNet(name, depth: depth)
    }

    /// `densenet121`, or of the CIFAR family `densenet40`, `densenet-bc100`, `densenet-bc190-k40`.
    private static func dense(
        _ name: String, _ base: Substring, _ stem: ResNet.Stem
    ) -> ScalableModel? {
        guard var rest = base.removing("densenet") else { return nil }
        if let row = DenseNet.published.first(where: { rest == "\($0.depth)" }) {
            return .denseNet(
                name, channels: row.channels, growth: row.growth, blocks: row.blocks, stem: stem)
        }
        let bottleneck = rest.hasPrefix("-bc")
        if bottleneck { rest = rest.dropFirst(3) }
        let parts = rest.split(separator: "-k", omittingEmptySubsequences: false)
        guard stem == .small, let depth = Int(parts[0]), parts.count <= 2,
            let growth = parts.count == 2 ? Int(parts[1]) : 12, (1...256).contains(growth),
            DenseNet.isCIFARDepth(depth, bottleneck: bottleneck)
        else { return nil }
        return .cifarDenseNet(name, depth: depth, growth: growth, bottleneck: bottleneck)
    }

    /// `efficientnet-b0`, `efficientnet-lite4`.
    private static func efficient(
        _ name: String, _ base: Substring, _ stem: ResNet.Stem
    ) -> ScalableModel? {
        guard let rest = base.removing("efficientnet-"),
            let variant = EfficientNet.published.first(where: { rest == $0.name })
        else { return nil }
        return .efficientNet(name, variant, stem: stem)
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

extension Substring {
    /// What follows `prefix`; nil where it does not stand at the beginning.
    fileprivate func removing(_ prefix: String) -> Substring? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}
