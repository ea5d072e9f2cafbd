/// A two-dimensional convolution. The number of input channels is inferred.
public struct Convolution: LayerDescription {
    public var name: String?
    /// Output channels; nil keeps the input's (a depthwise convolution).
    public var channels: Int?
    public var kernel: Size
    public var stride: Size
    public var padding: Padding
    public var dilation: Size
    /// Channel groups; nil means one group a channel (depthwise).
    public var groups: Int?
    public var bias: Bool
    public var initializer: Initializer

    /// - Parameters:
    ///   - channels: the number of filters
    ///   - padding: defaults to half the kernel, which keeps the size of odd kernels at stride 1
    public init(
        _ name: String?, _ channels: Int, kernel: Int, stride: Int = 1,
        padding: Padding? = nil, dilation: Int = 1, groups: Int = 1, bias: Bool = false,
        initializer: Initializer = .heNormal(.out)
    ) {
        self.name = name
        self.channels = channels
        self.kernel = Size(kernel)
        self.stride = Size(stride)
        self.padding = padding ?? .explicit(dilation * (kernel - 1) / 2)
        self.dilation = Size(dilation)
        self.groups = groups
        self.bias = bias
        self.initializer = initializer
    }

    /// A convolution named by its position.
    public init(
        _ channels: Int, kernel: Int, stride: Int = 1, padding: Padding? = nil, dilation: Int = 1,
        groups: Int = 1, bias: Bool = false, initializer: Initializer = .heNormal(.out)
    ) {
        self.init(
            nil, channels, kernel: kernel, stride: stride, padding: padding, dilation: dilation,
            groups: groups, bias: bias, initializer: initializer)
    }

    /// One filter a channel.
    public static func depthwise(
        _ name: String? = nil, kernel: Int, stride: Int = 1, padding: Padding? = nil,
        dilation: Int = 1, bias: Bool = false, initializer: Initializer = .heNormal(.out)
    ) -> Convolution {
        var layer = Convolution(
            name, 1, kernel: kernel, stride: stride, padding: padding, dilation: dilation,
            bias: bias, initializer: initializer)
        layer.channels = nil
        layer.groups = nil
        return layer
    }

    public var layer: Layer { .convolution(self) }
}
