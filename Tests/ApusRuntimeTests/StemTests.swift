import ApusCompiler
import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// Winograd's algorithm for stems against the reference executor, forward and weight gradient.
@Suite(.enabled(if: Machine.hasAVX512)) struct StemTests {
    /// Input, output channels and padding: one to three channels, odd sizes, rows of two parts, images smaller
    /// than a tile.
    static let problems: [(input: Shape, outputs: Int, padding: Edges)] = [
        ([3, 3, 37, 46], 40, Edges(3)), ([1, 1, 21, 310], 16, Edges(3)),
        ([2, 2, 16, 9], 17, Edges(top: 0, left: 1, bottom: 6, right: 5)),
        ([2, 3, 19, 24], 64, Edges(top: 6, left: 0, bottom: 0, right: 3)),
        ([5, 3, 3, 5], 48, Edges(3)),
    ]

    @Test(arguments: [1, 2, 3]) func agreesWithTheReference(threads: Int) throws {
        for (input, outputs, padding) in Self.problems {
            try check(input, outputs, padding, threads, tolerance: 1e-5)
        }
    }

    /// A result that is written past the caches. Half a million pixels are summed in 32 bits: direct sums are off
    /// by 2e-5, these by 3e-5.
    @Test func largeImage() throws {
        try check([1, 1, 1450, 1460], 16, Edges(3), 2, tolerance: 1e-4)
    }

    private func check(
        _ input: Shape, _ outputs: Int, _ padding: Edges, _ threads: Int, tolerance: Double
    ) throws {
        let example = GradientCase("stem") { net in
            let x = net.input("x", input)
            let bound = (3 / Double(49 * input[1])).squareRoot()
            let w = try net.parameter("w", [outputs, input[1], 7, 7], .uniform(-bound...bound))
            let window = Window(kernel: Size(7), stride: Size(2), padding: padding)
            return try net.append(.convolution(window, groups: 1), x, w)
        }
        let conformance = try Conformance(example)
        let precisions = Machine.hasBFloat16 ? Precision.allCases : [.fp32]
        // In brain floats the weight gradient reads plain images only where outputs fill their blocks.
        for precision in precisions where precision == .fp32 || outputs % 16 == 0 {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: "apus-stem", precision: precision))
            let kernels = session.implementations
                .filter { $0.operation.hasPrefix("convolution") }.map(\.kernel)
            #expect(kernels == ["apus-stem", "apus-stem"])
            let worst = worstDifference(
                try conformance.run(session), try conformance.reference(precision))
            #expect(
                worst.error < (precision == .fp32 ? tolerance : 1e-2),
                "\(worst.name) of \(input), \(precision)")
            let again = worstDifference(
                try conformance.run(session), try conformance.run(session))
            #expect(again.error == 0, "\(again.name) of \(input) changes from run to run")
        }
    }
}
