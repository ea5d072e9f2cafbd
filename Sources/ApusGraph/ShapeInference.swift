import ApusTensor

/// A mismatch found by inference; the builder adds the path and the shapes.
struct ShapeMismatch: Error { let problem: String }

extension Op {
    /// The shapes of the outputs for inputs of these shapes; throws `ShapeMismatch`.
    /// Sources have no inputs to infer from and are never asked.
    func outputShapes(_ x: [Shape]) throws(ShapeMismatch) -> [Shape] {
        try expect(operandCounts.contains(x.count), "takes another number of operands")
        switch self {
        case .input, .parameter, .buffer, .constant:
            throw ShapeMismatch(problem: "the shape of \(self) is given, not inferred")

        case .convolution(let window, let groups):
            let y = try convolved(x[0], x[1], window, groups)
            if x.count == 3 { try expect(x[2] == [y[1]], "bias must have one value a channel") }
            return [y]
        case .normalizedConvolution(let window, let groups, let n):
            let y = try convolved(x[0], x[1], window, groups)
            try perChannel(y, [x[2], x[3], x[4], x[5]])
            if n.addsResidual { try same(y, x[6]) }
            return [y]
        case .convolutionOfNormalized(let window, _):
            let y = try convolved(x[0], x[1], window, 1)
            try perChannel(x[0], [x[2], x[3], x[4], x[5]])
            return [y]
        case .convolutionInputGradient(let window, _, let input):
            try image(input)
            try image(x[1])
            let size = try slide(window, over: input)
            try expect(
                x[0] == [input[0], x[1][0], size.height, size.width],
                "gradient does not have the output's shape")
            for further in x.dropFirst(2) { try same(input, further) }
            return [input]
        case .convolutionWeightGradient(let window, let groups, let bias):
            let w = try weights(x[0], dy: x[1], window, groups)
            return bias ? [w, [x[1][1]]] : [w]
        case .weightGradientOfNormalized(let window, _):
            try perChannel(x[0], [x[2], x[3], x[4], x[5]])
            return [try weights(x[0], dy: x[1], window, 1)]

        case .batchNorm(let n):
            try perChannel(x[0], [x[1], x[2]])
            if n.addsResidual { try same(x[0], x[3]) }
            if n.normalizesResidual { try perChannel(x[0], Array(x[4...])) }
            return [try n.result(x[0]), [x[0][1]], [x[0][1]]] + (n.savesSigns ? [x[0]] : [])
                + (n.pools ? [x[0].pooled] : [])
        case .normalize(let n):
            try perChannel(x[0], [x[1], x[2], x[3], x[4]])
            if n.addsResidual { try same(x[0], x[5]) }
            if n.normalizesResidual { try perChannel(x[0], Array(x[6...])) }
            return [try n.result(x[0])] + (n.savesSigns ? [x[0]] : [])
                + (n.pools ? [x[0].pooled] : [])
        case .batchNormGradient(let n, _):
            try perChannel(x[0], [x[2], x[3], x[4]])
            try same(try n.result(x[0]), x[1])
            if n.activation != nil {
                if n.addsResidual { try same(x[0], x[5]) } else { try perChannel(x[0], [x[5]]) }
            }
            if n.sumsGradients { try same(x[0], x[n.secondGradientOperand]) }
            if n.accumulates { try same(x[0], x[n.baseOperand]) }
            let c: Shape = [x[0][1]]
            return [x[0], c, c] + (n.addsResidual && !n.leavesResidual ? [x[0]] : [])
        case .excitationSums:
            try perChannel(x[0], [x[2], x[3], x[4], x[5]])
            try same(x[0], x[1])
            return Array(repeating: x[0].pooled, count: 5)
        case .excitedNormGradient:
            try perChannel(x[0], [x[2], x[3], x[4], x[5]])
            try same(x[0], x[1])
            try expect(
                x[6...].allSatisfy { $0 == x[0].pooled }, "factors must have one value a channel")
            return [x[0], [x[0][1]], [x[0][1]]]
        case .channelMoments:
            try image(x[0])
            return [[x[0][1]], [x[0][1]]]
        case .joinVectors:
            try expect(x[0].rank == 1 && x[1].rank == 1, "expects two vectors")
            return [[x[0][0] + x[1][0]]]
        case .movingAverage, .add, .activationGradient, .softmaxGradient:
            try same(x[0], x[1])
            return [x[0]]

        case .activation, .dropout, .stochasticDepth:
            return [x[0]]

        case .maxPool(let window), .averagePool(let window, _):
            try image(x[0])
            let p = window.padding
            try expect(
                p.top < window.extent.height && p.bottom < window.extent.height
                    && p.left < window.extent.width && p.right < window.extent.width,
                "padding must be smaller than the window")
            let size = try slide(window, over: x[0])
            try expect(
                window.alwaysSees(Size(x[0][2], x[0][3]), output: size),
                "a dilated window falls between padding only")
            return [[x[0][0], x[0][1], size.height, size.width]]
        case .maxPoolGradient(let window):
            try image(x[0])
            let size = try slide(window, over: x[0])
            try expect(
                x[1] == [x[0][0], x[0][1], size.height, size.width],
                "gradient does not have the output's shape")
            return [x[0]]
        case .averagePoolGradient(let window, _, let input):
            try image(input)
            let size = try slide(window, over: input)
            try expect(
                x[0] == [input[0], input[1], size.height, size.width],
                "gradient does not have the output's shape")
            return [input]
        case .globalAveragePoolGradient(let input):
            try image(input)
            try expect(
                x[0] == [input[0], input[1], 1, 1], "gradient does not have the output's shape")
            return [input]
        case .globalAveragePool:
            try image(x[0])
            return [[x[0][0], x[0][1], 1, 1]]

        case .matmul(let transposeA, let transposeB):
            try expect(x[0].rank == 2 && x[1].rank == 2, "expects two matrices")
            let (m, k) = transposeA ? (x[0][1], x[0][0]) : (x[0][0], x[0][1])
            let (k2, n) = transposeB ? (x[1][1], x[1][0]) : (x[1][0], x[1][1])
            try expect(k == k2, "inner dimensions \(k) and \(k2) differ")
            return [[m, n]]
        case .addBias:
            try expect(x[0].rank == 2 && x[1] == [x[0][1]], "bias must have one value a column")
            return [x[0]]
        case .sumRows:
            try expect(x[0].rank == 2, "expects a matrix")
            return [[x[0][1]]]
        case .softmax:
            try expect(x[0].rank == 2, "expects [batch, features]; flatten or pool first")
            return [x[0]]

        case .scaleChannels:
            try image(x[0])
            try expect(x[1] == [x[0][0], x[0][1], 1, 1], "scale must have one value a channel")
            return [x[0]]
        case .scaleWeights:
            try expect(
                x[0].rank == 4 && x[0][2] == 1 && x[0][3] == 1, "weights must be [out, in, 1, 1]")
            try expect(x[1] == [1, x[0][1], 1, 1], "scale must have one value an input channel")
            return [x[0]]
        case .channelDot:
            try image(x[0])
            try same(x[0], x[1])
            return [[x[0][0], x[0][1], 1, 1]]
        case .concatenate:
            for s in x {
                try image(s)
                try expect(
                    s[0] == x[0][0] && s[2] == x[0][2] && s[3] == x[0][3],
                    "branches differ in more than channels")
            }
            return [[x[0][0], x.map { $0[1] }.reduce(0, +), x[0][2], x[0][3]]]
        case .slice(let start, let count):
            try image(x[0])
            try expect(
                start >= 0 && count >= 1 && start + count <= x[0][1], "slice is out of range")
            return [[x[0][0], count, x[0][2], x[0][3]]]
        case .subsamplePad(let stride, let before, let after):
            try image(x[0])
            try expect(before >= 0 && after >= 0, "cannot drop channels")
            try expect((1...1 << 16).contains(stride), "stride must be in 1...65536")
            return [
                [
                    x[0][0], x[0][1] + before + after,
                    (x[0][2] + stride - 1) / stride, (x[0][3] + stride - 1) / stride,
                ]
            ]
        case .subsamplePadGradient(let stride, let before, let input):
            try image(x[0])
            try image(input)
            try expect(
                stride >= 1 && before >= 0 && before + input[1] <= x[0][1]
                    && x[0][2] == (input[2] + stride - 1) / stride
                    && x[0][3] == (input[3] + stride - 1) / stride,
                "gradient does not have the output's shape")
            return [input]
        case .unflatten(let output):
            try image(output)
            try expect(
                x[0].rank == 2 && x[0][0] == output[0] && x[0].count == output.count,
                "features do not fill \(output)")
            return [output]
        case .flatten:
            try image(x[0])
            return [[x[0][0], x[0][1] * x[0][2] * x[0][3]]]

        case .crossEntropy:
            try expect(x[0].rank == 2, "logits must be [batch, classes]")
            try expect(x[1] == [x[0][0]], "needs one label a row")
            return [[1], x[0]]
        case .crossEntropyGradient:
            try expect(
                x[0].rank == 2 && x[1] == [x[0][0]] && x[2] == [1],
                "expects probabilities, labels and the gradient of the loss")
            return [x[0]]
        case .reorder, .convert:
            return [x[0]]
        }
    }

    /// How many inputs the operation takes.
    private var operandCounts: ClosedRange<Int> {
        switch self {
        case .input, .parameter, .buffer, .constant: 0...0
        case .activation, .dropout, .stochasticDepth, .maxPool, .averagePool,
            .averagePoolGradient, .globalAveragePool, .globalAveragePoolGradient, .sumRows,
            .softmax, .slice, .subsamplePad, .subsamplePadGradient, .flatten, .unflatten, .reorder,
            .convert, .channelMoments:
            1...1
        case .convolutionWeightGradient, .movingAverage, .activationGradient, .add,
            .maxPoolGradient, .matmul, .addBias, .softmaxGradient,
            .scaleChannels, .scaleWeights, .channelDot, .crossEntropy, .joinVectors:
            2...2
        case .convolution: 2...3
        case .convolutionInputGradient: 2...4
        case .normalizedConvolution(_, _, let n): n.addsResidual ? 7...7 : 6...6
        case .crossEntropyGradient: 3...3
        case .batchNorm(let n): 3 + n.residualOperands...3 + n.residualOperands
        case .normalize(let n): 5 + n.residualOperands...5 + n.residualOperands
        case .excitationSums, .convolutionOfNormalized, .weightGradientOfNormalized: 6...6
        case .excitedNormGradient: 12...12
        case .batchNormGradient(let n, _):
            (n.baseOperand + (n.accumulates ? 1 : 0))...(n.baseOperand + (n.accumulates ? 1 : 0))
        case .concatenate: 1...Int.max
        }
    }

    private func expect(_ holds: Bool, _ problem: String) throws(ShapeMismatch) {
        if !holds { throw ShapeMismatch(problem: problem) }
    }

    private func convolved(
        _ x: Shape, _ w: Shape, _ window: Window, _ groups: Int
    ) throws(ShapeMismatch) -> Shape {
        try image(x)
        try expect(w.rank == 4, "weights must be [out, in / groups, height, width]")
        try expect(Size(w[2], w[3]) == window.kernel, "weights do not have the kernel's size")
        try expect(groups >= 1, "needs at least one group")
        try expect(
            x[1] % groups == 0 && w[0] % groups == 0,
            "channels cannot be divided into \(groups) groups")
        try expect(
            x[1] / groups == w[1],
            "weights expect \(w[1] * groups) input channels, not \(x[1])")
        let size = try slide(window, over: x)
        return [x[0], w[0], size.height, size.width]
    }

    /// Those of a convolution whose output's gradient is dy.
    private func weights(
        _ x: Shape, dy: Shape, _ window: Window, _ groups: Int
    ) throws(ShapeMismatch) -> Shape {
        try image(x)
        try image(dy)
        try expect(
            groups >= 1 && x[1] % groups == 0, "channels cannot be divided into \(groups) groups")
        let size = try slide(window, over: x)
        try expect(
            dy == [x[0], dy[1], size.height, size.width],
            "gradient does not have the output's shape")
        return [dy[1], x[1] / groups, window.kernel.height, window.kernel.width]
    }

    private func image(_ s: Shape) throws(ShapeMismatch) {
        try expect(s.rank == 4, "expects images [batch, channels, height, width]")
    }

    private func same(_ a: Shape, _ b: Shape) throws(ShapeMismatch) {
        try expect(a == b, "operands must have the same shape")
    }

    private func perChannel(_ x: Shape, _ vectors: [Shape]) throws(ShapeMismatch) {
        try image(x)
        for v in vectors { try expect(v == [x[1]], "needs one value a channel") }
    }

    private func slide(_ window: Window, over x: Shape) throws(ShapeMismatch) -> Size {
        let w = window
        try expect(
            min(w.stride.height, w.stride.width, w.dilation.height, w.dilation.width) >= 1
                && min(w.kernel.height, w.kernel.width) >= 1
                && min(w.padding.top, w.padding.left, w.padding.bottom, w.padding.right) >= 0,
            "kernel, stride and dilation must be positive and padding not negative")
        guard let size = w.output(of: Size(x[2], x[3])) else {
            throw ShapeMismatch(
                problem: "a window of \(w.extent.height)x\(w.extent.width) does not fit into "
                    + "\(x[2])x\(x[3]) pixels; use larger images or smaller strides")
        }
        return size
    }
}

extension Normalization {
    /// The shape of the result for an image of this shape.
    fileprivate func result(_ x: Shape) throws(ShapeMismatch) -> Shape {
        guard let maxPool else { return x }
        guard activation == .relu, !addsResidual, !pools else {
            throw ShapeMismatch(
                problem:
                    "only rectified images without a residual are pooled as they are normalized")
        }
        return try Op.maxPool(maxPool).outputShapes([x])[0]
    }
}

extension Shape {
    /// Of an image: that of one value for each of its channels.
    fileprivate var pooled: Shape { [self[0], self[1], 1, 1] }
}

extension Window {
    /// Whether at every position at least one element of the window lies on the image. Padding
    /// below the window's extent ensures it for dense windows, not for dilated ones.
    fileprivate func alwaysSees(_ image: Size, output: Size) -> Bool {
        func sees(
            _ image: Int, _ output: Int, kernel: Int, stride: Int, dilation: Int, before: Int
        ) -> Bool {
            // Nothing to search: the padding is smaller than the window, which has no holes.
            dilation == 1
                || (0..<output).allSatisfy { position in
                    (0..<kernel).contains { element in
                        (0..<image).contains(position * stride - before + element * dilation)
                    }
                }
        }
        return sees(
            image.height, output.height, kernel: kernel.height, stride: stride.height,
            dilation: dilation.height, before: padding.top)
            && sees(
                image.width, output.width, kernel: kernel.width, stride: stride.width,
                dilation: dilation.width, before: padding.left)
    }
}
