import ApusGraph
import ApusTensor

/// Networks of inverted residual blocks scaled in width, depth and resolution together (Tan and Le:
/// "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019), with
/// torchvision's parameter names.
public enum EfficientNet {
    /// The stages of the baseline, B0 (the paper's table 1): how far blocks expand their channels, the
    /// depthwise kernel, the stride of the first block, channels in and out, and the number of blocks.
    public static let stages:
        [(expansion: Int, kernel: Int, stride: Int, input: Int, output: Int, layers: Int)] = [
            (1, 3, 1, 32, 16, 1),
            (6, 3, 2, 16, 24, 2),
            (6, 5, 2, 24, 40, 2),
            (6, 3, 2, 40, 80, 3),
            (6, 5, 1, 80, 112, 3),
            (6, 5, 2, 112, 192, 4),
            (6, 3, 1, 192, 320, 1),
        ]

    /// The network of `variant`. Images of 224 pixels leave the stages at 112, 56, 28, 14, 14, 7 and 7;
    /// with the small stem the first two strides are 1, so that images of 32 leave them at 32, 32, 16,
    /// 8, 8, 4 and 4.
    public static func network(
        _ name: String, _ variant: Variant, stem: ResNet.Stem = .imageNet, input: Shape? = nil,
        classes: Int = 1000
    ) -> Network {
        let blocks = MobileBlock(variant)
        let side = stem == .small ? 32 : variant.side
        let total = stages.indices.map(variant.layers).reduce(0, +)
        var index = 0
        var body: [Layer] = []
        for (number, stage) in stages.enumerated() {
            let output = variant.channels(stage.output)
            var layers: [Layer] = []
            for position in 0..<variant.layers(stage: number) {
                let isFirst = position == 0
                let isStrided = isFirst && !(stem == .small && number == 1)
                layers.append(
                    blocks.layer(
                        expansion: stage.expansion, kernel: stage.kernel,
                        stride: isStrided ? stage.stride : 1,
                        input: isFirst ? variant.channels(stage.input) : output, output: output,
                        dropRate: variant.stochasticDepth * Float(index) / Float(total)))
                index += 1
            }
            body.append(Sequence { layers }.layer)
        }
        // All names below come from positions, as in torchvision.
        return Network(name, input: input ?? [3, side, side]) {
            Sequence("features") {
                blocks.convolution(
                    variant.stemChannels, kernel: 3, stride: stem == .small ? 1 : 2)
                body
                blocks.convolution(variant.headChannels, kernel: 1)
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
