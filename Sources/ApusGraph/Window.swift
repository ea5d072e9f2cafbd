/// A height and a width.
public struct Size: Hashable, Codable, Sendable, CustomStringConvertible {
    public var height: Int
    public var width: Int

    public init(_ height: Int, _ width: Int) {
        self.height = height
        self.width = width
    }

    /// A square.
    public init(_ side: Int) { self.init(side, side) }

    public var count: Int { height * width }
    public var description: String { height == width ? "\(height)" : "\(height)x\(width)" }
}

/// Rows and columns of zeros around an image.
public struct Edges: Hashable, Codable, Sendable {
    public var top: Int
    public var left: Int
    public var bottom: Int
    public var right: Int

    public init(top: Int, left: Int, bottom: Int, right: Int) {
        self.top = top
        self.left = left
        self.bottom = bottom
        self.right = right
    }

    public init(_ all: Int) { self.init(top: all, left: all, bottom: all, right: all) }

    public var isZero: Bool { self == Edges(0) }
}

/// How a layer pads its input.
public enum Padding: Hashable, Codable, Sendable {
    /// This many rows and columns of zeros on every side, as PyTorch counts.
    case explicit(Int)
    /// TensorFlow's "same": output size is ceil(input / stride); an odd row goes to the bottom,
    /// an odd column to the right.
    case same

    func edges(input: Size, kernel: Size, stride: Size, dilation: Size) -> Edges {
        switch self {
        case .explicit(let all):
            return Edges(all)
        case .same:
            func total(_ input: Int, _ kernel: Int, _ stride: Int, _ dilation: Int) -> Int {
                let output = (input + stride - 1) / stride
                return max(0, (output - 1) * stride + dilation * (kernel - 1) + 1 - input)
            }
            let v = total(input.height, kernel.height, stride.height, dilation.height)
            let h = total(input.width, kernel.width, stride.width, dilation.width)
            return Edges(top: v / 2, left: h / 2, bottom: v - v / 2, right: h - h / 2)
        }
    }
}

/// A window that slides over an image: the geometry of convolutions and poolings.
public struct Window: Hashable, Codable, Sendable {
    public var kernel: Size
    public var stride: Size
    public var dilation: Size
    public var padding: Edges

    public init(
        kernel: Size, stride: Size = Size(1), dilation: Size = Size(1), padding: Edges = Edges(0)
    ) {
        self.kernel = kernel
        self.stride = stride
        self.dilation = dilation
        self.padding = padding
    }

    /// The kernel's extent with its dilation.
    public var extent: Size {
        Size((kernel.height - 1) * dilation.height + 1, (kernel.width - 1) * dilation.width + 1)
    }

    /// The number of window positions over an input, nil where the window does not fit even once.
    public func output(of input: Size) -> Size? {
        let height = input.height + padding.top + padding.bottom - extent.height
        let width = input.width + padding.left + padding.right - extent.width
        guard height >= 0, width >= 0 else { return nil }
        return Size(height / stride.height + 1, width / stride.width + 1)
    }

    /// Over all positions, how many of the kernel's elements meet a pixel of the input instead of padding.
    package func products(of input: Size) -> Int {
        guard let output = output(of: input) else { return 0 }
        func along(
            _ input: Int, _ output: Int, _ kernel: Int, _ stride: Int, _ dilation: Int,
            _ padding: Int
        ) -> Int {
            (0..<kernel).map { element in
                let first = element * dilation - padding
                return (0..<output).count { (0..<input).contains($0 * stride + first) }
            }.reduce(0, +)
        }
        return along(
            input.height, output.height, kernel.height, stride.height, dilation.height, padding.top)
            * along(
                input.width, output.width, kernel.width, stride.width, dilation.width, padding.left)
    }
}

extension Window: CustomStringConvertible {
    public var description: String {
        var text = "\(kernel.height)x\(kernel.width)"
        if stride != Size(1) { text += " /\(stride)" }
        if dilation != Size(1) { text += " dilation \(dilation)" }
        if !padding.isZero {
            let p = padding
            text +=
                p == Edges(p.top)
                ? " pad \(p.top)" : " pad \(p.top),\(p.left),\(p.bottom),\(p.right)"
        }
        return text
    }
}
