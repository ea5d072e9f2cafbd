import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// Operations on images against results worked out by hand.
@Suite struct KnownImageAnswerTests {
    static let counting = (1...9).map(Double.init)

    // MARK: - Convolution

    @Test func convolutionDoesNotFlipItsKernel() throws {
        let y = try evaluate(
            .convolution(Window(kernel: Size(2)), groups: 1),
            ([1, 1, 3, 3], Self.counting), ([1, 1, 2, 2], [1, 2, 3, 4]), ([1], [0.5]))
        #expect(y == [[37.5, 47.5, 67.5, 77.5]])
    }

    @Test func convolutionPadsWithZerosAndStrides() throws {
        let window = Window(kernel: Size(3), stride: Size(2), padding: Edges(1))
        let y = try evaluate(
            .convolution(window, groups: 1),
            ([1, 1, 3, 3], Self.counting), ([1, 1, 3, 3], Self.counting))
        #expect(y == [[94, 106, 106, 94]])
    }

    @Test func dilationSpreadsTheKernel() throws {
        let y = try evaluate(
            .convolution(Window(kernel: Size(2), dilation: Size(2)), groups: 1),
            ([1, 1, 3, 3], Self.counting), ([1, 1, 2, 2], [1, 2, 3, 4]))
        // 1 * 1 + 2 * 3 + 3 * 7 + 4 * 9
        #expect(y == [[64]])
    }

    @Test func groupsSeeTheirOwnChannels() throws {
        let point = Window(kernel: Size(1))
        let x: (Shape, [Double]) = ([1, 2, 1, 1], [2, 3])
        let all = try evaluate(.convolution(point, groups: 1), x, ([1, 2, 1, 1], [10, 1]))
        #expect(all == [[23]])
        let grouped = try evaluate(
            .convolution(point, groups: 2), x, ([4, 1, 1, 1], [1, 10, 100, 1000]))
        #expect(grouped == [[2, 20, 300, 3000]])
    }

    /// Four pixels, a kernel of three and a stride of two lack one pixel in all: TensorFlow adds it
    /// on the right, PyTorch's padding of one adds one on either side.
    @Test(arguments: [(Padding.same, [321.0, 43]), (.explicit(1), [210, 432])])
    func samePaddingAddsItsOddPixelAtTheEnd(padding: Padding, expected: [Double]) throws {
        func product(_ a: [Double], _ b: [Double]) -> [Double] {
            a.flatMap { x in b.map { x * $0 } }
        }
        // Image and kernel are products of a column and a row, and so is the result.
        var net = TestNetwork()
        let x = net.input("x", [1, 1, 4, 4], .given(product([1, 2, 3, 4], [1, 2, 3, 4])))
        let layer = Convolution(nil, 1, kernel: 3, stride: 2, padding: padding)
        let y = try net.builder.convolution(x, layer, path: "conv")
        let weight = try #require(net.builder.graph.parameters.first)
        net.sources[weight.value] = product([1, 10, 100], [1, 10, 100])
        let values = ReferenceExecutor(net.builder.graph).run(net.sources)
        #expect(values[y] == product(expected, expected))
    }

    // MARK: - Normalization

    /// Two channels of two images of two pixels; the second channel is the first times ten.
    /// Channel 1 has mean 3 and variance 3.5, hence a deviation of 2 with epsilon 0.5.
    static let image: (Shape, [Double]) = ([2, 2, 1, 2], [1, 2, 10, 20, 3, 6, 30, 60])
    static let gamma: (Shape, [Double]) = ([2], [2, 0])
    static let beta: (Shape, [Double]) = ([2], [1, 7])
    static let residual: (Shape, [Double]) = ([2, 2, 1, 2], [5, -1, 0, -9, -3, 1, 0, 0])

    @Test func batchNormUsesTheBiasedVariance() throws {
        let n = Normalization(epsilon: 0.5)
        let y = try evaluate(.batchNorm(n), Self.image, Self.gamma, Self.beta)
        #expect(isClose(y[0], [-1, 0, 7, 7, 1, 4, 7, 7]))
        #expect(isClose(y[1], [3, 30]))
        #expect(isClose(y[2], [3.5, 350]))
    }

    @Test func normalizationAddsBeforeItRectifies() throws {
        let n = Normalization(epsilon: 0.5, activation: .relu)
        let rectified = try evaluate(.batchNorm(n), Self.image, Self.gamma, Self.beta)
        #expect(isClose(rectified[0], [0, 0, 7, 7, 1, 4, 7, 7]))

        let sum = Normalization(epsilon: 0.5, addsResidual: true)
        let added = try evaluate(
            .batchNorm(sum), Self.image, Self.gamma, Self.beta, Self.residual)
        #expect(isClose(added[0], [4, -1, 7, -2, -2, 5, 7, 7]))

        let both = Normalization(epsilon: 0.5, addsResidual: true, activation: .relu)
        let all = try evaluate(
            .batchNorm(both), Self.image, Self.gamma, Self.beta, Self.residual)
        #expect(isClose(all[0], [4, 0, 7, 0, 0, 5, 7, 7]))
        #expect(isClose(all[1], [3, 30]))
    }

    @Test func normalizeUsesTheGivenStatistics() throws {
        let n = Normalization(epsilon: 0.5, addsResidual: true, activation: .relu)
        let y = try evaluate(
            .normalize(n), Self.image, Self.gamma, Self.beta, ([2], [1, 0]), ([2], [3.5, 1]),
            Self.residual)
        #expect(isClose(y[0], [6, 1, 7, 0, 0, 7, 7, 7]))
    }

    @Test func movingAverageWeighsTheNewStatistic() throws {
        let y = try evaluate(
            .movingAverage(momentum: 0.25, correction: 1.5), ([2], [2, 0]), ([2], [6, 4]))
        #expect(y == [[3.75, 1.5]])
    }

    // MARK: - Pooling

    @Test func paddingNeverWinsAMaximum() throws {
        let y = try evaluate(
            .maxPool(Window(kernel: Size(3), padding: Edges(1))), ([1, 1, 2, 2], [-1, -2, -3, -4]))
        #expect(y == [[-1, -1, -1, -1]])
    }

    @Test func theFirstOfEqualMaximaReceivesTheGradient() throws {
        let sevens = [Double](repeating: 7, count: 6)
        let ties = try evaluate(
            .maxPoolGradient(Window(kernel: Size(2))), ([1, 1, 2, 3], sevens),
            ([1, 1, 1, 2], [1, 10]))
        #expect(ties == [[1, 10, 0, 0, 0, 0]])
        let shared = try evaluate(
            .maxPoolGradient(Window(kernel: Size(1, 2))), ([1, 1, 1, 3], [1, 9, 2]),
            ([1, 1, 1, 2], [1, 10]))
        #expect(shared == [[0, 11, 0]])
    }

    @Test func averagePoolDividesByTheKernelOrByTheImage() throws {
        let x: (Shape, [Double]) = ([1, 1, 1, 3], [3, 5, 10])
        let window = Window(
            kernel: Size(1, 2), stride: Size(1, 2),
            padding: Edges(top: 0, left: 1, bottom: 0, right: 0))
        #expect(try evaluate(.averagePool(window, includesPadding: true), x) == [[1.5, 7.5]])
        #expect(try evaluate(.averagePool(window, includesPadding: false), x) == [[3, 7.5]])

        let square: (Shape, [Double]) = ([1, 1, 2, 2], [1, 2, 3, 3])
        let corner = Window(kernel: Size(3), stride: Size(2), padding: Edges(1))
        #expect(try evaluate(.averagePool(corner, includesPadding: true), square) == [[1]])
        #expect(try evaluate(.averagePool(corner, includesPadding: false), square) == [[2.25]])
    }

    /// Elements one before and one after a single pixel: there is nothing to take a maximum of.
    @Test func poolingWindowsMustSeeTheImage() throws {
        let window = Window(kernel: Size(2), dilation: Size(2), padding: Edges(1))
        for op in [Op.maxPool(window), .averagePool(window, includesPadding: false)] {
            #expect(throws: GraphError.self) { try evaluate(op, ([1, 1, 1, 1], [5])) }
        }
        let sum = try evaluate(
            .averagePool(window, includesPadding: false), ([1, 1, 3, 3], Self.counting))
        #expect(sum == [[5, 5, 5, 5, 5, 5, 5, 5, 5]])
    }

    @Test func globalAveragePoolKeepsChannelsApart() throws {
        let y = try evaluate(.globalAveragePool, ([1, 2, 1, 2], [1, 2, 10, 30]))
        #expect(y == [[1.5, 20]])
    }

    // MARK: - Channels

    @Test func channelsAreScaledAndSummed() throws {
        let x: (Shape, [Double]) = ([2, 2, 1, 2], [1, 2, 3, 4, 5, 6, 7, 8])
        let scaled = try evaluate(.scaleChannels, x, ([2, 2, 1, 1], [1, 10, 100, 1000]))
        #expect(scaled == [[1, 2, 30, 40, 500, 600, 7000, 8000]])
        #expect(try evaluate(.channelDot, x, x) == [[5, 25, 61, 113]])
    }

    @Test func weightsAreScaledByInput() throws {
        let w: (Shape, [Double]) = ([3, 2, 1, 1], [1, 2, 3, 4, 5, 6])
        let scaled = try evaluate(.scaleWeights, w, ([1, 2, 1, 1], [1, 10]))
        #expect(scaled == [[1, 20, 3, 40, 5, 60]])
    }

    @Test func branchesAreJoinedImageByImage() throws {
        let y = try evaluate(
            .concatenate, ([2, 1, 1, 2], [1, 2, 3, 4]),
            ([2, 2, 1, 2], [5, 6, 7, 8, 9, 10, 11, 12]))
        #expect(y == [[1, 2, 5, 6, 7, 8, 3, 4, 9, 10, 11, 12]])
        let slice = try evaluate(.slice(start: 1, count: 2), ([2, 3, 1, 2], y[0]))
        #expect(slice == [[5, 6, 7, 8, 9, 10, 11, 12]])
    }

    @Test func subsampledPixelsLieBetweenZeroChannels() throws {
        let y = try evaluate(
            .subsamplePad(stride: 2, before: 1, after: 2), ([1, 1, 3, 3], Self.counting))
        #expect(y == [[0, 0, 0, 0, 1, 3, 7, 9, 0, 0, 0, 0, 0, 0, 0, 0]])
        let op = Op.subsamplePadGradient(stride: 2, before: 1, input: [1, 1, 3, 3])
        let dx = try evaluate(op, ([1, 4, 2, 2], (0..<16).map(Double.init)))
        #expect(dx == [[4, 0, 5, 0, 0, 0, 6, 0, 7]])
    }

    @Test func reshapesAndReordersCopy() throws {
        let x: (Shape, [Double]) = ([1, 2, 1, 2], [1, 2, 3, 4])
        #expect(try evaluate(.flatten, x) == [x.1])
        #expect(try evaluate(.unflatten([1, 2, 1, 2]), ([1, 4], x.1)) == [x.1])
        #expect(try evaluate(.reorder(.blocked(8)), x) == [x.1])
    }
}
