import ApusGraph
import ApusTensor

/// Deep residual networks (He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition",
/// 2015), with torchvision's parameter names.
public enum ResNet {
    /// The two kinds of residual block: two 3x3 convolutions, or 1x1, 3x3 and 1x1 at a quarter of
    /// the width.
    public enum Block: String, Hashable, Sendable { case basic, bottleneck }

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
    public static let published: [(depth: Int, block: Block, stages: [Int])] = [
        (18, .basic, [2, 2, 2, 2]),
        (34, .basic, [3, 4, 6, 3]),
        (50, .bottleneck, [3, 4, 6, 3]),
        (101, .bottleneck, [3, 4, 23, 3]),
        (152, .bottleneck, [3, 8, 36, 3]),
    ]

    /// A network of four stages with 64, 128, 256 and 512 channels (four times that after
    /// bottlenecks), as torchvision builds it: a bottleneck strides in its 3x3 convolution.
    public static func imageNet(
        _ name: String, block: Block, stages: [Int], stem: Stem = .imageNet,
        input: Shape = [3, 224, 224], classes: Int = 1000
    ) -> Network {
        Network(name, input: input) {
            switch stem {
            case .imageNet:
                Convolution("conv1", 64, kernel: 7, stride: 2)
                BatchNorm("bn1")
                Activation(.relu)
                MaxPool(kernel: 3, stride: 2, padding: .explicit(1))
            case .small:
                Convolution("conv1", 64, kernel: 3)
                BatchNorm("bn1")
                Activation(.relu)
            }
            for (stage, count) in stages.enumerated() {
                let width = 64 << stage
                Sequence("layer\(stage + 1)") {
                    for index in 0..<count {
                        let stride = stage > 0 && index == 0 ? 2 : 1
                        switch block {
                        case .basic:
                            basicBlock(
                                "\(index)", width: width, stride: stride,
                                projects: stride > 1)
                        case .bottleneck:
                            bottleneckBlock(
                                "\(index)", width: width, stride: stride, projects: index == 0)
                        }
                    }
                }
            }
            GlobalAveragePool()
            Flatten()
            Dense("fc", classes)
        }
    }

    /// The CIFAR family of section 4.2: depth 6n + 2, three stages of n basic blocks with 16, 32 and
    /// 64 channels.
    public static func cifar(
        depth: Int, shortcut: Shortcut = .padding, input: Shape = [3, 32, 32], classes: Int = 10
    ) -> Network {
        precondition(isCIFARDepth(depth), "the depth must be 6n + 2, not \(depth)")
        let option = shortcut == .padding ? "" : "-" + shortcut.rawValue.lowercased()
        return Network("resnet\(depth)\(option)-cifar", input: input) {
            Convolution("conv1", 16, kernel: 3)
            BatchNorm("bn1")
            Activation(.relu)
            for stage in 0..<3 {
                let width = 16 << stage
                Sequence("layer\(stage + 1)") {
                    for index in 0..<(depth - 2) / 6 {
                        let stride = stage > 0 && index == 0 ? 2 : 1
                        if shortcut == .padding && stride > 1 {
                            basicBlock(
                                "\(index)", width: width, stride: stride, projects: false,
                                shortcut: [SubsamplePad(width, stride: stride).layer])
                        } else {
                            basicBlock(
                                "\(index)", width: width, stride: stride,
                                projects: stride > 1 || shortcut == .projections)
                        }
                    }
                }
            }
            GlobalAveragePool()
            Flatten()
            Dense("linear", classes)
        }
    }

    /// Whether `depth` is 6n + 2 for some n of at least 1, and no deeper than the deepest of the
    /// paper, 1202.
    public static func isCIFARDepth(_ depth: Int) -> Bool {
        (8...1202).contains(depth) && (depth - 2) % 6 == 0
    }

    static func basicBlock(
        _ name: String, width: Int, stride: Int, projects: Bool, shortcut: [Layer] = []
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
                if projects { projection(width, stride: stride) }
            }
            Activation(.relu)
        }
    }

    static func bottleneckBlock(
        _ name: String, width: Int, stride: Int, projects: Bool
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
                if projects { projection(4 * width, stride: stride) }
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
