/// The largest value under each window.
public struct MaxPool: LayerDescription {
    public var kernel: Size
    public var stride: Size
    public var padding: Padding

    public init(kernel: Int, stride: Int? = nil, padding: Padding = .explicit(0)) {
        self.kernel = Size(kernel)
        self.stride = Size(stride ?? kernel)
        self.padding = padding
    }

    public var layer: Layer { .maxPool(self) }
}

/// The mean under each window.
public struct AveragePool: LayerDescription {
    public var kernel: Size
    public var stride: Size
    public var padding: Padding
    /// Whether zeros of the padding count in the mean, as in PyTorch's default.
    public var includesPadding: Bool

    public init(
        kernel: Int, stride: Int? = nil, padding: Padding = .explicit(0),
        includesPadding: Bool = true
    ) {
        self.kernel = Size(kernel)
        self.stride = Size(stride ?? kernel)
        self.padding = padding
        self.includesPadding = includesPadding
    }

    public var layer: Layer { .averagePool(self) }
}

/// The mean of every channel: [N, C, H, W] -> [N, C, 1, 1].
public struct GlobalAveragePool: LayerDescription {
    public init() {}
    public var layer: Layer { .globalAveragePool }
}

/// The parameterless shortcut of He et al. 2015 (option A): every `stride`-th row and column, and
/// channels of zeros, half before and half after, up to `channels`.
public struct SubsamplePad: LayerDescription {
    public var channels: Int
    public var stride: Int

    public init(_ channels: Int, stride: Int) {
        self.channels = channels
        self.stride = stride
    }

    public var layer: Layer { .subsamplePad(self) }
}
