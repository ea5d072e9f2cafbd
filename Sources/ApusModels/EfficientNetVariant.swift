import ApusGraph

extension EfficientNet {
    /// How the baseline is scaled, and the details in which published networks differ.
    public struct Variant: Hashable, Codable, Sendable {
        /// "b0" to "b7", "lite0" to "lite4".
        public var name: String
        /// Factors of channels and of blocks a stage.
        public var width: Double
        public var depth: Double
        /// Height and width of the images the variant is meant for.
        public var side: Int
        /// Dropout before the classifier.
        public var dropout: Float
        /// The drop rate of a residual block past the last; it rises linearly from 0.
        public var stochasticDepth: Float = 0.2
        /// Of all batch norms.
        public var epsilon: Float = 1e-5
        public var momentum: Float = 0.1
        public var activation = ActivationFunction.silu
        /// Whether blocks have squeeze-and-excitation.
        public var squeezes = true
        /// Whether stem and head, and the number of blocks of the first and last stage, are scaled.
        public var scalesEnds = true
        /// nil pads by half the kernel on every side, as torchvision; weights trained with TensorFlow
        /// expect `.same`, which differs at stride 2.
        public var padding: Padding?

        public init(_ name: String, width: Double, depth: Double, side: Int, dropout: Float) {
            self.name = name
            self.width = width
            self.depth = depth
            self.side = side
            self.dropout = dropout
        }

        /// The stem, the seven stages of blocks and the head of the baseline, scaled.
        public var stages: [Stage] {
            let rows = EfficientNet.stages
            let blocks = rows.enumerated().map { index, row in
                let isEnd = index == 0 || index == rows.count - 1
                return Stage(row.layers, row.output, fixedDepth: isEnd && !scalesEnds)
            }
            let base =
                [.single(EfficientNet.stemChannels, fixedWidth: !scalesEnds)] + blocks
                + [.single(EfficientNet.headChannels, fixedWidth: !scalesEnds)]
            let factors = ScaleFactors(depth: depth, width: width)
            return base.map { $0.scaled(factors, divisor: 8) }
        }
    }

    /// B0 to B7 as torchvision has them, and the Lite networks for devices without fast
    /// squeeze-and-excitation ("EfficientNet-Lite", the TensorFlow authors, 2020): ReLU6, fixed stem
    /// and head, TensorFlow's padding.
    public static let published: [Variant] =
        [
            Variant("b0", width: 1.0, depth: 1.0, side: 224, dropout: 0.2),
            Variant("b1", width: 1.0, depth: 1.1, side: 240, dropout: 0.2),
            Variant("b2", width: 1.1, depth: 1.2, side: 260, dropout: 0.3),
            Variant("b3", width: 1.2, depth: 1.4, side: 300, dropout: 0.3),
            Variant("b4", width: 1.4, depth: 1.8, side: 380, dropout: 0.4),
            Variant("b5", width: 1.6, depth: 2.2, side: 456, dropout: 0.4).tensorFlowNorm,
            Variant("b6", width: 1.8, depth: 2.6, side: 528, dropout: 0.5).tensorFlowNorm,
            Variant("b7", width: 2.0, depth: 3.1, side: 600, dropout: 0.5).tensorFlowNorm,
        ] + [
            Variant("lite0", width: 1.0, depth: 1.0, side: 224, dropout: 0.2).lite,
            Variant("lite1", width: 1.0, depth: 1.1, side: 240, dropout: 0.2).lite,
            Variant("lite2", width: 1.1, depth: 1.2, side: 260, dropout: 0.3).lite,
            Variant("lite3", width: 1.2, depth: 1.4, side: 280, dropout: 0.3).lite,
            Variant("lite4", width: 1.4, depth: 1.8, side: 300, dropout: 0.3).lite,
        ]
}

extension EfficientNet.Variant {
    /// The batch norm of the original implementation, which torchvision keeps from B5 on.
    fileprivate var tensorFlowNorm: Self {
        var variant = self
        variant.epsilon = 1e-3
        variant.momentum = 0.01
        return variant
    }

    fileprivate var lite: Self {
        var variant = tensorFlowNorm
        variant.activation = .relu6
        variant.squeezes = false
        variant.scalesEnds = false
        variant.padding = .same
        return variant
    }
}
