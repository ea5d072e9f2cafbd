import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// Our own 1x1 convolutions.
@Suite(.enabled(if: Machine.hasAVX512)) struct OneByOneTests {
    /// Channels in whole blocks and pairs of blocks and not; chunks of one pixel, of a few and several.
    static let problems: [(input: Shape, outputs: Int)] = [
        ([1, 5, 1, 1], 7), ([3, 16, 7, 7], 16), ([2, 24, 13, 15], 40), ([1, 64, 12, 8], 128),
        ([2, 65, 1, 97], 33), ([1, 130, 5, 3], 18), ([5, 32, 2, 6], 96), ([2, 96, 14, 14], 6),
    ]

    private static func conformance(
        _ input: Shape, _ outputs: Int, stride: Int = 1
    ) throws -> Conformance {
        try Conformance(
            GradientCase("1x1") { net in
                let x = try net.blocked(try net.parameter("x", input))
                let bound = (3 / Double(input[1])).squareRoot()
                let w = try net.parameter(
                    "w", [outputs, input[1], 1, 1], .uniform(-bound...bound))
                return try net.append(
                    .convolution(Window(kernel: Size(1), stride: Size(stride)), groups: 1), x, w)
            })
    }

    @Test(arguments: problems) func engineAgreesWithReference(
        _ input: Shape, _ outputs: Int
    ) throws {
        try agrees("apus-1x1", input, outputs)
    }

    /// Batches of one pair of images and more; chunks of one pixel, of a few and several, whose last is shorter; halves of
    /// an odd number of blocks; more blocks than are summed for weight gradients at a time; a
    /// result of 5 MB, which goes past the caches; strides that end with the image and before its last row.
    @Test(
        arguments: [
            ([2, 64, 1, 1], 64, 1), ([2, 128, 5, 7], 64, 1), ([4, 64, 12, 9], 192, 1),
            ([6, 192, 3, 3], 128, 1), ([2, 448, 9, 11], 64, 1), ([2, 64, 15, 15], 320, 1),
            ([2, 96, 5, 7], 96, 1), ([4, 160, 3, 5], 64, 1), ([2, 64, 6, 13], 224, 1),
            ([2, 608, 3, 2], 1088, 1), ([2, 64, 100, 90], 64, 1), ([2, 64, 3, 5], 1152, 2),
            ([2, 64, 7, 8], 128, 2), ([4, 128, 20, 21], 64, 2), ([2, 192, 8, 4], 64, 3),
        ] as [(Shape, Int, Int)])
    func strassenAgreesWithReference(_ input: Shape, _ outputs: Int, _ stride: Int) throws {
        try agrees("apus-strassen", input, outputs, stride: stride)
    }

    /// Input gradients that are added to that of a shortcut, rectified or not.
    @Test(
        arguments: ["apus-1x1", "apus-strassen"],
        [(64, ActivationFunction.relu), (96, .relu), (128, .relu), (160, nil)]
            as [(Int, ActivationFunction?)])
    func gradientsAreAdded(
        _ algorithm: String, _ shape: (channels: Int, activation: ActivationFunction?)
    )
        throws
    {
        let conformance = try Conformance(
            GradientCase("bottlenecks") { net in
                try GradientCase.bottlenecks(
                    &net, channels: shape.channels, shape.activation)
            })
        let expected = try conformance.reference()
        var bits: Results?
        for threads in [1, 2, 7] {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: algorithm))
            #expect(
                session.implementations.allSatisfy { step in
                    !step.operation.hasPrefix("convolution") || step.kernel == algorithm
                })
            let added = session.program.graph.nodes.filter { node in
                if case .convolutionInputGradient = node.op { node.inputs.count > 2 } else { false }
            }
            #expect(added.count == 3)
            let results = try conformance.run(session)
            let worst = worstDifference(results, expected)
            #expect(worst.error < 1e-5, "\(worst.name), \(threads) threads")
            if let bits { #expect(results == bits, "\(threads) threads change bits") }
            bits = results
        }
        // What is added to is copied first where it has another place.
        let apart = EngineSetting(worksInPlace: false, algorithm: algorithm)
        let copied = try conformance.engine(apart)
        #expect(copied == bits)
    }

    /// What is read is normalized on the way: of images of their own and of the first channels of wider ones, over
    /// one chunk of pixels and several, rectified or not; to the last bit as in a pass of its own.
    @Test(
        arguments: ["apus-1x1", "apus-strassen"],
        [
            ([4, 64, 10, 21], .relu, 64), ([2, 96, 3, 5], nil, 64), ([2, 64, 1, 1], .relu, 96),
            ([2, 448, 9, 11], .relu, 64), ([4, 64, 4, 5], .relu, 608),
        ] as [(Shape, ActivationFunction?, Int)])
    func inputsAreNormalized(
        _ algorithm: String, _ shape: (Shape, activation: ActivationFunction?, growth: Int)
    ) throws {
        try normalizes(algorithm, shape.0, shape.activation, growth: shape.growth)
    }

    /// Channels that do not fill their blocks.
    @Test func inputsOfBrokenBlocksAreNormalized() throws {
        try normalizes("apus-1x1", [3, 24, 10, 11], .relu, growth: 20)
        try normalizes("apus-1x1", [1, 7, 3, 3], nil, growth: 40)
    }

    /// Weights of 64 MiB need more scratch memory than an algorithm is granted that the library could replace.
    @Test func largeWeightsAreNoExcuse() throws {
        let conformance = try Conformance(
            GradientCase("a wide convolution") { net in
                let x = try net.blocked(try net.parameter("x", [2, 4096, 1, 2]))
                return try GradientCase.normalizedConvolution(&net, x, 4096)
            })
        let setting = EngineSetting(algorithm: "apus-1x1")
        let session = try conformance.session(setting)
        #expect(session.implementations.count { $0.operation.contains("of normalized") } == 2)
        let apart = EngineSetting(normalizesInputs: false, algorithm: "apus-1x1")
        #expect(try conformance.run(session) == conformance.engine(apart))
    }

    private func normalizes(
        _ algorithm: String, _ shape: Shape, _ activation: ActivationFunction?, growth: Int
    ) throws {
        let conformance = try Conformance(
            GradientCase("dense block of 1x1 convolutions") { net in
                try GradientCase.pointwiseDenseBlock(&net, shape, growth: growth, activation)
            })
        let expected = try conformance.reference()
        let apart = try conformance.engine(
            EngineSetting(normalizesInputs: false, algorithm: algorithm))
        for threads in [1, 2, 7] {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: algorithm))
            let merged = session.implementations.filter { $0.operation.contains("of normalized") }
            // Forward passes and weight gradients of three convolutions.
            #expect(merged.count == 6)
            #expect(merged.allSatisfy { $0.kernel == algorithm })
            let results = try conformance.run(session)
            let worst = worstDifference(results, expected)
            #expect(worst.error < 1e-5, "\(worst.name), \(threads) threads")
            #expect(results == apart, "\(threads) threads")
        }
    }

    private func agrees(
        _ algorithm: String, _ input: Shape, _ outputs: Int, stride: Int = 1
    ) throws {
        let conformance = try Self.conformance(input, outputs, stride: stride)
        let expected = try conformance.reference()
        var bits: Results?
        for threads in [1, 2, 7] {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: algorithm))
            let kernels = session.implementations
                .filter { $0.operation.hasPrefix("convolution") }.map(\.kernel)
            #expect(kernels == [algorithm, algorithm, algorithm])
            let results = try conformance.run(session)
            let worst = worstDifference(results, expected)
            #expect(worst.error < 1e-5, "\(worst.name), \(threads) threads")
            if let bits { #expect(results == bits, "\(threads) threads change bits") }
            bits = results
            #expect(try conformance.run(session) == results, "a second run changes bits")
        }
    }

    /// What they cannot do is left to the library even where a choice asks for them.
    @Test(arguments: [
        Window(kernel: Size(1), stride: Size(2)), Window(kernel: Size(1), padding: Edges(1)),
        Window(kernel: Size(3), padding: Edges(1)),
    ])
    func othersAreLeftToTheLibrary(_ window: Window) throws {
        let conformance = try Conformance(
            GradientCase("not 1x1") { net in
                let x = try net.blocked(try net.parameter("x", [2, 24, 6, 5]))
                let size = window.kernel
                let w = try net.parameter("w", [20, 24, size.height, size.width])
                return try net.append(.convolution(window, groups: 1), x, w)
            })
        let session = try conformance.session(EngineSetting(algorithm: "apus-1x1"))
        #expect(!session.implementations.contains { $0.kernel == "apus-1x1" })
    }

    /// An odd batch and halves of the channels that are no blocks have no quarters; nor has a stride's gradient
    /// a pair of blocks left over.
    @Test(
        arguments: [
            ([3, 64, 6, 5], 64, 1), ([2, 80, 6, 5], 64, 1), ([2, 64, 6, 5], 40, 1),
            ([2, 96, 6, 5], 64, 2),
        ] as [(Shape, Int, Int)])
    func whatHasNoQuartersIsLeftToOthers(_ input: Shape, _ outputs: Int, _ stride: Int) throws {
        let session = try Self.conformance(input, outputs, stride: stride).session(
            EngineSetting(algorithm: "apus-strassen"))
        #expect(session.implementations.contains { $0.operation.hasPrefix("convolution") })
        #expect(!session.implementations.contains { $0.kernel == "apus-strassen" })
    }
}
