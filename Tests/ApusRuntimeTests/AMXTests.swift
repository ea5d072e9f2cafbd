import ApusGraph
import ApusRuntime
import ApusTensor
import CKernels
import Foundation
import Testing

/// Our own convolutions by tile registers; without these the same code sums by AVX512-BF16.
@Suite(.enabled(if: Machine.hasBFloat16)) struct AMXTests {
    struct Problem: CustomTestStringConvertible {
        let input: Shape
        let outputs: Int
        let kernel: Int
        var stride = 1
        var padding = Edges(0)
        var isPlain = false
        var testDescription: String { "\(input) to \(outputs), \(kernel)x\(kernel) / \(stride)" }
    }

    /// Channels in whole blocks and pairs of blocks and not; images gathered and cut; tiles whose rows are in two
    /// images; strides that leave out pixels, and taps that meet none.
    static let problems = [
        Problem(input: [1, 5, 2, 1], outputs: 7, kernel: 1),
        Problem(input: [3, 16, 7, 7], outputs: 16, kernel: 1),
        Problem(input: [2, 40, 13, 15], outputs: 72, kernel: 1),
        Problem(input: [2, 24, 9, 8], outputs: 40, kernel: 1, stride: 2),
        Problem(input: [2, 17, 6, 5], outputs: 33, kernel: 1, stride: 3, padding: Edges(1)),
        Problem(input: [3, 16, 7, 7], outputs: 48, kernel: 3, padding: Edges(1)),
        Problem(input: [2, 70, 5, 9], outputs: 20, kernel: 3, padding: Edges(1)),
        Problem(
            input: [2, 33, 6, 11], outputs: 16, kernel: 3,
            padding: Edges(top: 0, left: 1, bottom: 2, right: 1)),
        Problem(input: [2, 16, 14, 14], outputs: 32, kernel: 3, stride: 2, padding: Edges(1)),
        Problem(
            input: [2, 20, 9, 12], outputs: 17, kernel: 3, stride: 2,
            padding: Edges(top: 0, left: 0, bottom: 1, right: 1)),
        Problem(input: [1, 16, 10, 11], outputs: 16, kernel: 5, stride: 3, padding: Edges(2)),
        Problem(input: [1, 3, 19, 17], outputs: 24, kernel: 7, stride: 2, padding: Edges(3)),
        Problem(input: [2, 64, 50, 47], outputs: 16, kernel: 3, padding: Edges(1)),
        Problem(input: [3, 16, 6, 16], outputs: 24, kernel: 3, padding: Edges(1)),
        Problem(input: [1, 200, 80, 64], outputs: 16, kernel: 1),
        Problem(input: [70, 64, 8, 7], outputs: 80, kernel: 1),
    ]

    /// Images as files have them, of few channels: read as they are.
    static let plain = [
        Problem(
            input: [3, 3, 19, 37], outputs: 32, kernel: 7, stride: 2, padding: Edges(3),
            isPlain: true),
        Problem(input: [2, 1, 28, 28], outputs: 16, kernel: 3, padding: Edges(1), isPlain: true),
        Problem(input: [1, 3, 9, 10], outputs: 48, kernel: 5, stride: 3, isPlain: true),
        Problem(
            input: [2, 2, 8, 20], outputs: 16, kernel: 3, stride: 2,
            padding: Edges(top: 0, left: 0, bottom: 1, right: 1), isPlain: true),
        Problem(
            input: [5, 3, 200, 160], outputs: 16, kernel: 3, stride: 2, padding: Edges(1),
            isPlain: true),
    ]

    @Test(arguments: problems + plain) func engineAgreesWithReference(_ problem: Problem) throws {
        let conformance = try Conformance(
            GradientCase("tiles") { net in
                let image = try net.parameter("x", problem.input)
                let x = problem.isPlain ? image : try net.blocked(image)
                let taps = problem.input[1] * problem.kernel * problem.kernel
                let bound = (3 / Double(taps)).squareRoot()
                let w = try net.parameter(
                    "w", [problem.outputs, problem.input[1], problem.kernel, problem.kernel],
                    .uniform(-bound...bound))
                let window = Window(
                    kernel: Size(problem.kernel), stride: Size(problem.stride),
                    padding: problem.padding)
                return try net.append(.convolution(window, groups: 1), x, w)
            })
        let expected = try conformance.reference(.bf16)
        var bits: Results?
        for threads in [1, 2, 7] {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: "apus-amx", precision: .bf16))
            #expect(session.implementations.count { $0.kernel == "apus-amx" } == 3)
            let plain = session.choices.keys.count { $0.contains(" plain ") }
            #expect(plain == (problem.isPlain ? 2 : 0), "forward and the gradient of weights")
            let results = try conformance.run(session)
            let worst = worstDifference(results, expected)
            #expect(worst.error < 4e-3, "\(worst.name), \(threads) threads")
            if let bits { #expect(results == bits, "\(threads) threads change bits") }
            bits = results
            #expect(try conformance.run(session) == results, "a second run changes bits")
        }
    }

    /// One channel's weight is one: what comes out is the activation of what went in, rounded once.
    @Test(arguments: [apus_identity, apus_relu, apus_relu6, apus_silu])
    func endings(_ function: apus_function) {
        let inputs = (0..<512).map {
            Float(bitPattern: Float(0.1 * Double($0 - 256)).bitPattern & 0xFFFF_0000)
        }
        let x = inputs.flatMap { [UInt16($0.bitPattern >> 16)] + [UInt16](repeating: 0, count: 15) }
        var geometry = apus_amx()
        (geometry.batch, geometry.sources, geometry.targets) = (1, 1, 1)
        (geometry.sourceHeight, geometry.sourceWidth) = (16, 32)
        (geometry.targetHeight, geometry.targetWidth) = (16, 32)
        (geometry.rows, geometry.columns, geometry.step) = (16, 32, 1)
        (geometry.rowTaps, geometry.columnTaps, geometry.stride) = (1, 1, 1)
        (geometry.kernel, geometry.tapStep, geometry.members) = (1, 1, 1)
        geometry.activation = function
        let weights = Arena(count: apus_amx_weight_bytes(&geometry) / 4)
        let scratch = Arena(count: apus_amx_scratch(&geometry) / 4)
        apus_amx_weights(&geometry, [1], weights.base, 0, 1)
        var y = [UInt16](repeating: 0, count: x.count)
        apus_amx_multiply(
            &geometry, x, weights.base, nil, &y, scratch.base, 1, 0, apus_amx_parts(&geometry))
        for (place, input) in inputs.enumerated() {
            let v = Double(input)
            let expected =
                switch function {
                case apus_relu: max(0, v)
                case apus_relu6: min(6, max(0, v))
                case apus_silu: v / (1 + exp(-v))
                default: v
                }
            let got = Double(Float(bitPattern: UInt32(y[place * 16]) << 16))
            // Half a unit in the last of eight bits, and what the estimates add.
            let tolerance = abs(expected) * (0x1p-8 + 2e-4)
            #expect(abs(got - expected) <= tolerance, "\(v) became \(got), not \(expected)")
        }
    }
}
