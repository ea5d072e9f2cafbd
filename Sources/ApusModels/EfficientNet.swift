import ApusGraph
import ApusTensor

/// Networks of inverted residual blocks scaled in width, depth and resolution together (Tan and Le:
/// "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019), with
/// torchvision's parameter names.
public enum EfficientNet {
    /// The stages of the baseline, B0 (the paper's table 1): how far blocks expand their channels, the
    /// depthwise kernel, the stride of the first block, output channels, and the number of blocks.
    public static let stages:
        [(expansion: Int, kernel: Int, stride: Int, output: Int, layers: Int)] = [
            (1, 3, 1, 16, 1),
            (6, 3, 2, 24, 2),
            (6, 5, 2, 40, 2),
            (6, 3, 2, 80, 3),
            (6, 5, 1, 112, 3),
            (6, 5, 2, 192, 4),
            (6, 3, 1, 320, 1),
        ]
    /// The 3x3 convolution before them, at stride 2, and the 1x1 convolution behind.
    static let stemChannels = 32
    static let headChannels = 1280

    /// The network of `variant`, whose own stages can be replaced by scaled ones. Images of 224 pixels leave the stages at 112, 56, 28, 14, 14, 7 and 7;
    /// with the small stem the first two strides are 1, so that images of 32 leave them at 32, 32, 16,
    /// 8, 8, 4 and 4.
    public static func network(
        _ name: String, _ variant: Variant, stages: [Stage]? = nil,
        stem: ResNet.Stem = .imageNet, input: Shape? = nil, classes: Int = 1000
    ) -> Network {
        let scaled = stages ?? variant.stages
        precondition(scaled.count == Self.stages.count + 2, "a stem, seven stages and a head")
        let blocks = MobileBlock(variant)
        let side = stem == .small ? 32 : variant.side
        let total = scaled.dropFirst().dropLast().map(\.depth).reduce(0, +)
        var index = 0
        var channels = scaled[0].width
        var body: [Layer] = []
        for (number, stage) in Self.stages.enumerated() {
            let output = scaled[number + 1].width
            var layers: [Layer] = []
            for position in 0..<scaled[number + 1].depth {
                let isFirst = position == 0
                let isStrided = isFirst && !(stem == .small && number == 1)
                layers.append(
                    blocks.layer(
                        expansion: stage.expansion, kernel: stage.kernel,
                        stride: isStrided ? stage.stride : 1,
                        input: isFirst ? channels : output, output: output,
                        dropRate: variant.stochasticDepth * Float(index) / Float(total)))
                index += 1
            }
            channels = output
            body.append(Sequence { layers }.layer)
        }
        // All names below come from positions, as in torchvision.
        return Network(name, input: input ?? [3, side, side]) {
            Sequence("features") {
                blocks.convolution(
                    scaled[0].width, kernel: 3, stride: stem == .small ? 1 : 2)
                body
                blocks.convolution(scaled[scaled.count - 1].width, kernel: 1)
            }
            GlobalAveragePool()
            Flatten()
            Sequence("classifier") {
                Dropout(variant.dropout)
                Dense(classes)
            }
        }
    }
}

/// Makes the blocks of one variant.
private struct MobileBlock {
    let variant: EfficientNet.Variant

    init(_ variant: EfficientNet.Variant) { self.variant = variant }

    /// A 1x1 convolution that expands, a depthwise one, squeeze-and-excitation, and a 1x1 convolution
    /// without activation (MBConv; Sandler et al. 2018), beside a shortcut where the shape stays.
    func layer(
        expansion: Int, kernel: Int, stride: Int, input: Int, output: Int, dropRate: Float
    ) -> Layer {
        let expanded = expansion * input
        let body = Sequence("block") {
            if expansion > 1 { convolution(expanded, kernel: 1) }
            normalized(
                .depthwise(kernel: kernel, stride: stride, padding: variant.padding),
                variant.activation)
            if variant.squeezes { excitation(expanded, squeezed: max(1, input / 4)) }
            normalized(Convolution(output, kernel: 1), nil)
        }
        guard stride == 1, input == output else { return Sequence { body }.layer }
        return Sequence {
            Residual("") {
                body
                StochasticDepth(dropRate)
            }
        }.layer
    }

    func convolution(_ channels: Int, kernel: Int, stride: Int = 1) -> Sequence {
        normalized(
            Convolution(channels, kernel: kernel, stride: stride, padding: variant.padding),
            variant.activation)
    }

    private func normalized(
        _ convolution: Convolution, _ activation: ActivationFunction?
    ) -> Sequence {
        Sequence {
            convolution
            BatchNorm(epsilon: variant.epsilon, momentum: variant.momentum)
            if let activation { Activation(activation) }
        }
    }

    /// The squeezed channels are a quarter of the block's input, not of the expanded channels.
    private func excitation(_ channels: Int, squeezed: Int) -> Scale {
        Scale {
            GlobalAveragePool()
            Convolution("fc1", squeezed, kernel: 1, bias: true)
            Activation(variant.activation)
            Convolution("fc2", channels, kernel: 1, bias: true)
            Activation(.sigmoid)
        }
    }
}

extension ScalableModel {
    /// A variant, from which larger ones follow: scaled by (1.2, 1.1, 1.15)^phi B0 comes close to the
    /// published B1 to B7, whose factors were rounded and whose sides were chosen by hand. Dropout and
    /// stochastic depth stay the variant's.
    static func efficientNet(
        _ name: String, _ variant: EfficientNet.Variant, stem: ResNet.Stem
    ) -> ScalableModel {
        ScalableModel(
            name, stages: variant.stages,
            input: stem == .small ? stem.input : [3, variant.side, variant.side],
            classes: stem.classes
        ) {
            EfficientNet.network($0, variant, stages: $1, stem: stem, input: $2, classes: $3)
        }
    }
}
