import ApusGraph
import ApusTensor

/// The plain counterparts of residual networks (He et al. 2015): the same layers without shortcuts.
public enum PlainNet {
    /// The CIFAR family: depth 6n + 2, three stages of 2n convolutions with 16, 32 and 64 channels.
    public static func cifar(
        depth: Int, input: Shape = [3, 32, 32], classes: Int = 10
    ) -> Network {
        let residual = ResNet.cifar(depth: depth, input: input, classes: classes)
        return without("plain\(depth)-cifar", residual)
    }

    /// The plain networks of 18 and 34 layers that the paper compares with on ImageNet.
    public static func imageNet(
        _ name: String, stages: [Int], stem: ResNet.Stem = .imageNet,
        input: Shape = [3, 224, 224], classes: Int = 1000
    ) -> Network {
        let residual = ResNet.imageNet(
            name, block: .basic, stages: stages, stem: stem, input: input, classes: classes)
        return without(name, residual)
    }

    /// A network without its shortcuts: every residual is replaced by its body.
    package static func without(_ name: String, _ network: Network) -> Network {
        Network(name, input: network.input) { network.layers.flatMap(removingShortcuts) }
    }

    /// Replaces every residual by its body.
    private static func removingShortcuts(_ layer: Layer) -> [Layer] {
        switch layer {
        case .sequence(var sequence):
            sequence.layers = sequence.layers.flatMap(removingShortcuts)
            return [.sequence(sequence)]
        case .residual(let residual):
            return residual.body
        default:
            return [layer]
        }
    }
}
