import ApusGraph
import ApusTensor

/// Densely connected networks (Huang, Liu, van der Maaten, Weinberger: "Densely Connected
/// Convolutional Networks", 2017), with torchvision's parameter names.
///
/// Every layer of a dense block reads the outputs of all layers before it in the block, joined along
/// the channels, and adds `growth` channels. Transitions between blocks halve height and width.
public enum DenseNet {
    /// What all layers of a network share, apart from the growth rate k, the channels that every layer
    /// adds: that is the width of a stage.
    public struct Rules: Hashable, Codable, Sendable {
        /// B: a 1x1 convolution to 4k channels before every 3x3 one.
        public var bottleneck: Bool
        /// C: the part of the channels that a transition keeps.
        public var compression: Double
        /// Dropout after every layer; the paper uses 0.2 on small sets without augmentation.
        public var dropRate: Float

        public init(bottleneck: Bool = true, compression: Double = 0.5, dropRate: Float = 0) {
            self.bottleneck = bottleneck
            self.compression = compression
            self.dropRate = dropRate
        }
    }

    /// The networks of the paper's table 1, all with bottlenecks and compression 0.5: growth rate,
    /// channels before the first block, layers of every block. The 161 layers of growth rate 48 are
    /// torchvision's.
    public static let published: [(depth: Int, growth: Int, channels: Int, blocks: [Int])] = [
        (121, 32, 64, [6, 12, 24, 16]),
        (161, 48, 96, [6, 12, 36, 24]),
        (169, 32, 64, [6, 12, 32, 32]),
        (201, 32, 64, [6, 12, 48, 32]),
    ]

    /// A stem of `channels` and dense blocks of so many layers with growth rate k.
    public static func stages(channels: Int, growth: Int, blocks: [Int]) -> [Stage] {
        [.single(channels)] + blocks.map { Stage($0, growth) }
    }

    /// The CIFAR family of section 4.2: `depth` weighted layers in three blocks. With bottlenecks the
    /// first convolution has 2k channels, 16 otherwise.
    public static func cifarStages(depth: Int, growth: Int, bottleneck: Bool) -> [Stage] {
        precondition(
            isCIFARDepth(depth, bottleneck: bottleneck),
            "the depth must be 3n + 4, or 6n + 4 with bottlenecks, not \(depth)")
        let count = (depth - 4) / (bottleneck ? 6 : 3)
        return stages(
            channels: bottleneck ? 2 * growth : 16, growth: growth,
            blocks: [count, count, count])
    }

    /// A network of a stem and dense blocks, as torchvision builds it.
    /// Images of 224 pixels reach the blocks at 56, 28, 14 and 7; with the small stem, images of 32
    /// at 32, 16, 8 and 4.
    public static func imageNet(
        _ name: String, stages: [Stage], rules: Rules = Rules(), stem: ResNet.Stem = .imageNet,
        input: Shape = [3, 224, 224], classes: Int = 1000
    ) -> Network {
        Network(name, input: input) {
            Sequence("features") {
                switch stem {
                case .imageNet:
                    convolution("conv0", stages[0].width, kernel: 7, stride: 2)
                    BatchNorm("norm0")
                    Activation(.relu)
                    MaxPool(kernel: 3, stride: 2, padding: .explicit(1))
                case .small:
                    convolution("conv0", stages[0].width, kernel: 3)
                    BatchNorm("norm0")
                    Activation(.relu)
                }
                dense(stages, rules)
            }
            classifier(classes)
        }
    }

    /// The CIFAR family: the blocks work at 32, 16 and 8 pixels, and the first layer's batch norm follows
    /// the first convolution at once.
    public static func cifar(
        _ name: String, stages: [Stage], rules: Rules, input: Shape = [3, 32, 32],
        classes: Int = 10
    ) -> Network {
        Network(name, input: input) {
            Sequence("features") {
                convolution("conv0", stages[0].width, kernel: 3)
                dense(stages, rules)
            }
            classifier(classes)
        }
    }

    /// Whether three equal blocks can have `depth` layers with weights, no more than the paper's 250.
    public static func isCIFARDepth(_ depth: Int, bottleneck: Bool) -> Bool {
        let perLayer = bottleneck ? 6 : 3
        return (4 + perLayer...250).contains(depth) && (depth - 4) % perLayer == 0
    }

    /// Dense blocks with transitions between them, and the last batch norm.
    private static func dense(_ stages: [Stage], _ rules: Rules) -> [Layer] {
        var layers: [Layer] = []
        var channels = stages[0].width
        for (number, stage) in stages.enumerated().dropFirst() {
            layers.append(block("denseblock\(number)", stage, rules).layer)
            channels += stage.depth * stage.width
            if number < stages.count - 1 {
                channels = Int(Double(channels) * rules.compression)
                layers.append(transition("transition\(number)", channels).layer)
            }
        }
        return layers + [BatchNorm("norm5").layer, Activation(.relu).layer]
    }

    /// Each layer's output is joined to everything before it.
    private static func block(_ name: String, _ stage: Stage, _ rules: Rules) -> Sequence {
        Sequence(name) {
            for index in 0..<stage.depth {
                Concatenate("") {
                    Identity()
                    layer("denselayer\(index + 1)", growth: stage.width, rules)
                }
            }
        }
    }

    private static func layer(_ name: String, growth: Int, _ rules: Rules) -> Sequence {
        Sequence(name) {
            BatchNorm("norm1")
            Activation(.relu)
            if rules.bottleneck {
                convolution("conv1", 4 * growth, kernel: 1)
                BatchNorm("norm2")
                Activation(.relu)
                convolution("conv2", growth, kernel: 3)
            } else {
                convolution("conv1", growth, kernel: 3)
            }
            Dropout(rules.dropRate)
        }
    }

    private static func transition(_ name: String, _ channels: Int) -> Sequence {
        Sequence(name) {
            BatchNorm("norm")
            Activation(.relu)
            convolution("conv", channels, kernel: 1)
            AveragePool(kernel: 2)
        }
    }

    private static func classifier(_ classes: Int) -> [Layer] {
        [GlobalAveragePool().layer, Flatten().layer, Dense("classifier", classes).layer]
    }

    private static func convolution(
        _ name: String, _ channels: Int, kernel: Int, stride: Int = 1
    ) -> Convolution {
        Convolution(name, channels, kernel: kernel, stride: stride, initializer: .heNormal(.in))
    }
}

extension ScalableModel {
    /// A published network, for photographs or with a stem for small images. Growth rates are small
    /// numbers: scaled ones are multiples of 4.
    static func denseNet(
        _ name: String, channels: Int, growth: Int, blocks: [Int], stem: ResNet.Stem
    ) -> ScalableModel {
        ScalableModel(
            name, stages: DenseNet.stages(channels: channels, growth: growth, blocks: blocks),
            input: stem.input, classes: stem.classes, divisor: 4
        ) {
            DenseNet.imageNet($0, stages: $1, stem: stem, input: $2, classes: $3)
        }
    }

    /// The CIFAR family; compression comes with bottlenecks.
    static func cifarDenseNet(
        _ name: String, depth: Int, growth: Int, bottleneck: Bool
    ) -> ScalableModel {
        let rules = DenseNet.Rules(bottleneck: bottleneck, compression: bottleneck ? 0.5 : 1)
        return ScalableModel(
            name,
            stages: DenseNet.cifarStages(depth: depth, growth: growth, bottleneck: bottleneck),
            input: [3, 32, 32], classes: 10, divisor: 4
        ) {
            DenseNet.cifar($0, stages: $1, rules: rules, input: $2, classes: $3)
        }
    }
}
