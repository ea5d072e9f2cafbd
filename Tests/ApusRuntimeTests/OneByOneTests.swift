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

    private static func conformance(_ input: Shape, _ outputs: Int) throws -> Conformance {
        try Conformance(
            GradientCase("1x1") { net in
                let x = try net.blocked(try net.parameter("x", input))
                let bound = (3 / Double(input[1])).squareRoot()
                let w = try net.parameter(
                    "w", [outputs, input[1], 1, 1], .uniform(-bound...bound))
                return try net.append(.convolution(Window(kernel: Size(1)), groups: 1), x, w)
            })
    }

    @Test(arguments: problems) func engineAgreesWithReference(
        _ input: Shape, _ outputs: Int
    ) throws {
        let conformance = try Self.conformance(input, outputs)
        let expected = try conformance.reference()
        var bits: Results?
        for threads in [1, 2, 7] {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: "apus-1x1"))
            let kernels = session.implementations
                .filter { $0.operation.hasPrefix("convolution") }.map(\.kernel)
            #expect(kernels == ["apus-1x1", "apus-1x1", "apus-1x1"])
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
}
