import ApusGraph
import ApusTensor

/// The plain counterparts of residual networks (He et al. 2015): the same layers without shortcuts.
public enum PlainNet {
    /// The CIFAR family: a stem and three stages of pairs of convolutions.
    public static func cifar(
        _ name: String, stages: [Stage], input: Shape = [3, 32, 32], classes: Int = 10
    ) -> Network {
        without(ResNet.cifar(name, stages: stages, input: input, classes: classes))
    }

    /// The plain networks of 18 and 34 layers that the paper compares with on ImageNet.
    public static func imageNet(
        _ name: String, stages: [Stage], stem: ResNet.Stem = .imageNet,
        input: Shape = [3, 224, 224], classes: Int = 1000
    ) -> Network {
        without(
            ResNet.imageNet(
                name, block: .basic, stages: stages, stem: stem, input: input, classes: classes))
    }

    /// A network without its shortcuts: every residual is replaced by its body.
    package static func without(_ network: Network) -> Network {
        Network(network.name, input: network.input) {
            network.layers.flatMap(removingShortcuts)
        }
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

extension ScalableModel {
    static func plainNet(_ name: String, _ blocks: [Int], stem: ResNet.Stem) -> ScalableModel {
        ScalableModel(
            name, stages: ResNet.stages(blocks), input: stem.input, classes: stem.classes
        ) {
            PlainNet.imageNet($0, stages: $1, stem: stem, input: $2, classes: $3)
        }
    }

    static func cifarPlainNet(_ name: String, depth: Int) -> ScalableModel {
        ScalableModel(
            name, stages: ResNet.cifarStages(depth: depth), input: [3, 32, 32], classes: 10
        ) {
            PlainNet.cifar($0, stages: $1, input: $2, classes: $3)
        }
    }
}
