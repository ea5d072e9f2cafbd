import ApusFiles

/// The names of the first PyTorch implementation of EfficientNet (lukemelas/EfficientNet-PyTorch and
/// its Lite variants), whose weights many packages carry.
package enum EfficientNetNames {
    /// What is not in a block: their name, and ours.
    private static let ends = [
        ("_conv_stem", "features.0.0"), ("_bn0", "features.0.1"), ("_conv_head", "features.8.0"),
        ("_bn1", "features.8.1"), ("_fc", "classifier.1"),
    ]
    /// The convolutions of a block with their normalizations, in order; a block that does not expand
    /// lacks the first.
    private static let parts = [
        ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"),
    ]
    private static let excitations = [("_se_reduce", "fc1"), ("_se_expand", "fc2")]

    /// The tensors under the names of `parameters`, in their order, if these are of an EfficientNet and the file uses the
    /// other names; else the file as it is.
    package static func translate(_ file: TensorFile, for parameters: [String]) -> TensorFile {
        guard file["_conv_stem.weight"] != nil,
            parameters.first == "features.0.0.weight"
        else { return file }
        let prefixes = Dictionary(
            uniqueKeysWithValues: ends + blocks(parameters).enumerated().flatMap(block))
        return TensorFile(
            tensors: file.tensors.map { name, tensor in
                guard let dot = name.lastIndex(of: "."), let prefix = prefixes[String(name[..<dot])]
                else { return (name, tensor) }
                return (prefix + name[dot...], tensor)
            },
            metadata: file.metadata)
    }

    /// The paths of the blocks, `features.1.0.block`, in order: theirs are numbered through.
    private static func blocks(_ parameters: [String]) -> [(path: String, layers: [Layer])] {
        var blocks: [(path: String, layers: [Layer])] = []
        for parameter in parameters {
            let names = parameter.split(separator: ".").map(String.init)
            guard names.count >= 6, names[3] == "block" else { continue }
            let path = names[..<4].joined(separator: ".")
            if blocks.last?.path != path { blocks.append((path, [])) }
            let layer = Layer(position: names[4], squeezes: names[5].hasPrefix("fc"))
            if blocks[blocks.count - 1].layers.last != layer {
                blocks[blocks.count - 1].layers.append(layer)
            }
        }
        return blocks
    }

    /// A child of a block: a normalized convolution, or squeeze-and-excitation.
    private struct Layer: Equatable {
        var position: String
        var squeezes: Bool
    }

    private static func block(
        _ index: Int, _ block: (path: String, layers: [Layer])
    ) -> [(String, String)] {
        let convolutions = block.layers.filter { !$0.squeezes }
        var names: [(String, String)] = []
        for (layer, part) in zip(convolutions, parts.suffix(convolutions.count)) {
            names.append(("_blocks.\(index).\(part.0)", "\(block.path).\(layer.position).0"))
            names.append(("_blocks.\(index).\(part.1)", "\(block.path).\(layer.position).1"))
        }
        for layer in block.layers where layer.squeezes {
            for (theirs, ours) in excitations {
                names.append(
                    ("_blocks.\(index).\(theirs)", "\(block.path).\(layer.position).\(ours)"))
            }
        }
        return names
    }
}
