import ApusGraph
import ApusTensor
import Testing

/// The output shape of one layer on images of this shape.
private func output(
    of layer: some LayerDescription, on input: Shape = [2, 8, 9, 7],
    mode: GraphBuilder.Mode = .training
) throws(GraphError) -> Shape {
    var builder = GraphBuilder(mode: mode)
    let x = builder.input("images", input)
    let y = try builder.append(layer.layer, to: x, path: "layer")
    return builder.shape(y)
}

@Suite struct ShapeTests {
    @Test func convolutionsFollowTheirWindow() throws {
        #expect(try output(of: Convolution(16, kernel: 3)) == [2, 16, 9, 7])
        #expect(try output(of: Convolution(16, kernel: 1)) == [2, 16, 9, 7])
        #expect(try output(of: Convolution(16, kernel: 3, stride: 2)) == [2, 16, 5, 4])
        #expect(
            try output(of: Convolution(16, kernel: 3, padding: .explicit(0))) == [2, 16, 7, 5])
        #expect(try output(of: Convolution(16, kernel: 3, dilation: 2)) == [2, 16, 9, 7])
        #expect(
            try output(of: Convolution(16, kernel: 3, padding: .explicit(0), dilation: 3))
                == [2, 16, 3, 1])
        #expect(try output(of: Convolution(16, kernel: 3, groups: 4)) == [2, 16, 9, 7])
        #expect(try output(of: Convolution.depthwise(kernel: 5, stride: 2)) == [2, 8, 5, 4])
        #expect(
            try output(of: Convolution(4, kernel: 4, stride: 3, padding: .same)) == [2, 4, 3, 3])
        // Strides beyond the kernel leave pixels out.
        #expect(try output(of: Convolution(4, kernel: 1, stride: 3)) == [2, 4, 3, 3])
    }

    /// Counted by going over all positions and elements.
    @Test(arguments: [1, 2, 3], [(0, 1), (1, 1), (1, 2), (3, 2)])
    func paddingIsNotMultiplied(stride: Int, _ edges: (padding: Int, dilation: Int)) throws {
        let (padding, dilation) = edges
        let window = Window(
            kernel: Size(3, 2), stride: Size(stride), dilation: Size(dilation),
            padding: Edges(top: padding, left: 0, bottom: 1, right: 2))
        let input = Size(8, 7)
        let output = try #require(window.output(of: input))
        var products = 0
        for i in 0..<output.count * window.kernel.count {
            let (position, element) = i.quotientAndRemainder(dividingBy: window.kernel.count)
            let y = position / output.width * stride + element / 2 * dilation - padding
            let x = position % output.width * stride + element % 2 * dilation
            if y >= 0, y < input.height, x < input.width { products += 1 }
        }
        #expect(window.products(of: input) == products)
    }

    @Test func poolingFollowsItsWindow() throws {
        #expect(try output(of: MaxPool(kernel: 2)) == [2, 8, 4, 3])
        #expect(
            try output(of: MaxPool(kernel: 3, stride: 2, padding: .explicit(1))) == [2, 8, 5, 4])
        #expect(try output(of: AveragePool(kernel: 2)) == [2, 8, 4, 3])
        #expect(try output(of: AveragePool(kernel: 2, padding: .same)) == [2, 8, 5, 4])
        #expect(try output(of: GlobalAveragePool()) == [2, 8, 1, 1])
    }

    @Test(arguments: ActivationFunction.all)
    func activationsKeepTheShape(function: ActivationFunction) throws {
        #expect(try output(of: Activation(function)) == [2, 8, 9, 7])
        #expect(try output(of: Activation(function), on: [2, 5]) == [2, 5])
    }

    @Test(arguments: [GraphBuilder.Mode.training, .inference])
    func layersThatKeepTheShape(mode: GraphBuilder.Mode) throws {
        let layers: [Layer] = [
            BatchNorm().layer, Identity().layer, Dropout(0.5).layer, StochasticDepth(0.5).layer,
        ]
        for layer in layers { #expect(try output(of: layer, mode: mode) == [2, 8, 9, 7]) }
    }

    @Test func featuresAndHeads() throws {
        #expect(try output(of: Flatten()) == [2, 504])
        #expect(try output(of: Dense(10), on: [2, 64]) == [2, 10])
        #expect(try output(of: Softmax(), on: [2, 10]) == [2, 10])
    }

    @Test func containers() throws {
        let pair = Sequence {
            Convolution(16, kernel: 3)
            MaxPool(kernel: 2)
        }
        #expect(try output(of: pair) == [2, 16, 4, 3])
        #expect(try output(of: Residual { Convolution(8, kernel: 3) }) == [2, 8, 9, 7])
        let projected = Residual {
            Convolution(16, kernel: 3, stride: 2)
        } shortcut: {
            SubsamplePad(16, stride: 2)
        }
        #expect(try output(of: projected) == [2, 16, 5, 4])
        let joined = Concatenate {
            Identity()
            Convolution(12, kernel: 3)
            Sequence {
                Convolution(4, kernel: 1)
                Activation(.relu)
            }
        }
        #expect(try output(of: joined) == [2, 24, 9, 7])
        let excited = Scale {
            GlobalAveragePool()
            Convolution(8, kernel: 1)
            Activation(.sigmoid)
        }
        #expect(try output(of: excited) == [2, 8, 9, 7])
    }

    @Test func theParameterlessShortcutPadsBothSides() throws {
        #expect(try output(of: SubsamplePad(16, stride: 2)) == [2, 16, 5, 4])
        // An odd number of new channels.
        #expect(try output(of: SubsamplePad(11, stride: 1)) == [2, 11, 9, 7])
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", [2, 8, 9, 7])
        _ = try builder.append(SubsamplePad(11, stride: 1).layer, to: x, path: "")
        #expect(builder.graph.nodes.last?.op == .subsamplePad(stride: 1, before: 1, after: 2))
    }

    @Test func dropoutIsAbsentInUse() throws {
        let network = Network("n", input: [8, 4, 4]) {
            Dropout(0.5)
            StochasticDepth(0.5)
            Dropout(0)
        }
        #expect(try network.graph(batch: 2, mode: .inference).nodes.count == 1)
        #expect(try network.graph(batch: 2, mode: .training).nodes.count == 3)
    }
}

/// TensorFlow's "same": output ceil(input / stride), the odd row and column at the end.
@Suite struct SamePaddingTests {
    struct Case: Sendable {
        var input: Int
        var kernel: Int
        var stride: Int
        var before: Int
        var after: Int
        var output: Int
    }

    static let cases = [
        Case(input: 224, kernel: 3, stride: 2, before: 0, after: 1, output: 112),
        Case(input: 112, kernel: 3, stride: 1, before: 1, after: 1, output: 112),
        Case(input: 112, kernel: 5, stride: 2, before: 1, after: 2, output: 56),
        Case(input: 7, kernel: 3, stride: 2, before: 1, after: 1, output: 4),
        Case(input: 7, kernel: 2, stride: 1, before: 0, after: 1, output: 7),
        Case(input: 10, kernel: 1, stride: 3, before: 0, after: 0, output: 4),
        Case(input: 1, kernel: 5, stride: 1, before: 2, after: 2, output: 1),
    ]

    @Test(arguments: cases) func convolution(_ c: Case) throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", [1, 2, c.input, c.input])
        let layer = Convolution(2, kernel: c.kernel, stride: c.stride, padding: .same)
        let y = try builder.append(layer.layer, to: x, path: "conv")
        #expect(builder.shape(y) == [1, 2, c.output, c.output])
        guard case .convolution(let window, _)? = builder.graph.nodes.last?.op else {
            Issue.record("no convolution")
            return
        }
        #expect(
            window.padding
                == Edges(top: c.before, left: c.before, bottom: c.after, right: c.after))
    }
}
