import ApusGraph
import ApusTensor

/// Deep residual networks (He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition",
/// 2015), with torchvision's parameter names.
public enum ResNet {
    /// The two kinds of residual block: two 3x3 convolutions, or 1x1, 3x3 and 1x1 at a quarter of
    /// the width.
    public enum Block: String, Hashable, Sendable {
        case basic, bottleneck

        /// Output channels as a multiple of the stage's width.
        var expansion: Int { self == .basic ? 1 : 4 }
    }

    /// What comes before the first block.
    public enum Stem: String, Hashable, Sendable {
        /// A 7x7 convolution and a 3x3 max pool, stride 2 each: for images of about 224 pixels.
        case imageNet
        /// A 3x3 convolution at stride 1: for images of about 32 pixels.
        case small
    }

    /// How a shortcut follows a change of size or channels in the CIFAR family.
    public enum Shortcut: String, Hashable, Sendable {
        /// Option A: subsample and pad with zero channels, no parameters.
        case padding = "A"
        /// Option B: a 1x1 convolution and a batch norm.
        case projection = "B"
        /// Option C: a 1x1 convolution and a batch norm beside every block.
        case projections = "C"
    }

    /// The five networks of the paper's table 1: blocks a stage.
    public static let published: [(depth: Int, block: Block, blocks: [Int])] = [
        (18, .basic, [2, 2, 2, 2]),
        (34, .basic, [3, 4, 6, 3]),
        (50, .bottleneck, [3, 4, 6, 3]),
        (101, .bottleneck, [3, 4, 23, 3]),
        (152, .bottleneck, [3, 8, 36, 3]),
    ]

    /// The stem of table 1 and its four stages of 64 to 512 channels, with so many blocks.
    public static func stages(_ blocks: [Int]) -> [Stage] {
        [.single(64)] + zip(blocks, [64, 128, 256, 512]).map { Stage($0, $1) }
    }

    /// The stem of section 4.2 and its three stages of n blocks with 16, 32 and 64 channels.
    public static func cifarStages(depth: Int) -> [Stage] {
        precondition(isCIFARDepth(depth), "the depth must be 6n + 2, not \(depth)")
        return [.single(16)] + [16, 32, 64].map { Stage((depth - 2) / 6, $0) }
    }

    /// Whether `depth` is 6n + 2 for some n of at least 1, and no deeper than the deepest of the
    /// paper, 1202.
    public static func isCIFARDepth(_ depth: Int) -> Bool {
        (8...1202).contains(depth) && (depth - 2) % 6 == 0
    }

    /// A network of a stem and stages of blocks, whose channels are the stage's width (four times that
    /// after bottlenecks), as torchvision builds it: a bottleneck strides in its 3x3 convolution.
    public static func imageNet(
        _ name: String, block: Block, stages: [Stage], stem: Stem = .imageNet,
        input: Shape = [3, 224, 224], classes: Int = 1000
    ) -> Network {
        Network(name, input: input) {
            switch stem {
            case .imageNet:
                Convolution("conv1", stages[0].width, kernel: 7, stride: 2)
                BatchNorm("bn1")
                Activation(.relu)
                MaxPool(kernel: 3, stride: 2, padding: .explicit(1))
            case .small:
                Convolution("conv1", stages[0].width, kernel: 3)
                BatchNorm("bn1")
                Activation(.relu)
            }
            body(stages, block, .projection)
            GlobalAveragePool()
            Flatten()
            Dense("fc", classes)
        }
    }

    /// The CIFAR family of section 4.2: a stem and three stages of basic blocks.
    public static func cifar(
        _ name: String, stages: [Stage], shortcut: Shortcut = .padding,
        input: Shape = [3, 32, 32], classes: Int = 10
    ) -> Network {
        Network(name, input: input) {
            Convolution("conv1", stages[0].width, kernel: 3)
            BatchNorm("bn1")
            Activation(.relu)
            body(stages, .basic, shortcut)
            GlobalAveragePool()
            Flatten()
            Dense("linear", classes)
        }
    }

    /// The stages behind the stem. All but the first begin with stride 2.
    private static func body(
        _ stages: [Stage], _ block: Block, _ shortcut: Shortcut
    ) -> [Layer] {
        var channels = stages[0].width
        var layers: [Layer] = []
        for (number, stage) in stages.enumerated().dropFirst() {
            let output = stage.width * block.expansion
            let blocks = (0..<stage.depth).map { index -> Layer in
                let stride = number > 1 && index == 0 ? 2 : 1
                var change: [Layer] = []
                if stride > 1 || channels != output || shortcut == .projections {
                    change =
                        shortcut == .padding
                        ? [SubsamplePad(output, stride: stride).layer]
                        : [projection(output, stride: stride).layer]
                }
                channels = output
                switch block {
                case .basic:
                    return basicBlock("\(index)", stage.width, stride, shortcut: change).layer
                case .bottleneck:
                    return bottleneckBlock("\(index)", stage.width, stride, shortcut: change).layer
                }
            }
            layers.append(Sequence("layer\(number)") { blocks }.layer)
        }
        return layers
    }

    private static func basicBlock(
        _ name: String, _ width: Int, _ stride: Int, shortcut: [Layer]
    ) -> Sequence {
        Sequence(name) {
            Residual("") {
                Convolution("conv1", width, kernel: 3, stride: stride)
                BatchNorm("bn1")
                Activation(.relu)
                Convolution("conv2", width, kernel: 3)
                BatchNorm("bn2")
            } shortcut: {
                shortcut
            }
            Activation(.relu)
        }
    }

    private static func bottleneckBlock(
        _ name: String, _ width: Int, _ stride: Int, shortcut: [Layer]
    ) -> Sequence {
        Sequence(name) {
            Residual("") {
                Convolution("conv1", width, kernel: 1)
                BatchNorm("bn1")
                Activation(.relu)
                Convolution("conv2", width, kernel: 3, stride: stride)
                BatchNorm("bn2")
                Activation(.relu)
                Convolution("conv3", 4 * width, kernel: 1)
                BatchNorm("bn3")
            } shortcut: {
                shortcut
            }
            Activation(.relu)
        }
    }

    private static func projection(_ channels: Int, stride: Int) -> Sequence {
        Sequence("downsample") {
            Convolution("0", channels, kernel: 1, stride: stride)
            BatchNorm("1")
        }
    }
}

extension ScalableModel {
    /// A residual network of the published stages, for photographs or with a stem for small images.
    static func resNet(
        _ name: String, _ block: ResNet.Block, _ blocks: [Int], stem: ResNet.Stem
    ) -> ScalableModel {
        ScalableModel(
            name, stages: ResNet.stages(blocks), input: stem.input, classes: stem.classes
        ) {
            ResNet.imageNet($0, block: block, stages: $1, stem: stem, input: $2, classes: $3)
        }
    }

    static func cifarResNet(
        _ name: String, depth: Int, _ shortcut: ResNet.Shortcut
    ) -> ScalableModel {
        ScalableModel(
            name, stages: ResNet.cifarStages(depth: depth), input: [3, 32, 32], classes: 10
        ) {
            ResNet.cifar($0, stages: $1, shortcut: shortcut, input: $2, classes: $3)
        }
    }
}

extension ResNet.Stem {
    init(small: Bool) { self = small ? .small : .imageNet }

    /// The image a stem is made for, and the classes of the set it usually comes from.
    var input: Shape { self == .small ? [3, 32, 32] : [3, 224, 224] }
    var classes: Int { self == .small ? 10 : 1000 }
}
