import ApusGraph
import ApusRuntime
import ApusTensor
import CKernels
import Testing

/// Our own weight gradients of images in brain floats.
@Suite(.enabled(if: Machine.hasBFloat16)) struct PairsTests {
    struct Problem: Sendable, CustomTestStringConvertible {
        var input: Shape
        var outputs: Int
        var window = Window(kernel: Size(1))
        var testDescription: String { "\(input) to \(outputs), \(window)" }
    }

    /// Channels in whole blocks and not, more blocks of sources than are summed at a time; several images at a time with a
    /// last group of fewer, parts of an image, odd numbers of pixels; strides that end with the image and before its last row;
    /// windows that end before the image and reach beyond it on every side.
    static let problems: [Problem] = [
        Problem(input: [3, 16, 7, 7], outputs: 16), Problem(input: [2, 24, 13, 15], outputs: 40),
        Problem(input: [1, 64, 12, 8], outputs: 128), Problem(input: [2, 65, 1, 97], outputs: 33),
        Problem(input: [1, 130, 5, 3], outputs: 18), Problem(input: [9, 40, 7, 7], outputs: 12),
        Problem(input: [2, 320, 15, 16], outputs: 24), Problem(input: [1, 17, 17, 23], outputs: 6),
        Problem(
            input: [2, 32, 7, 8], outputs: 48, window: Window(kernel: Size(1), stride: Size(2))),
        Problem(
            input: [3, 20, 9, 7], outputs: 64, window: Window(kernel: Size(1), stride: Size(3))),
        Problem(
            input: [3, 48, 14, 14], outputs: 32,
            window: Window(kernel: Size(3), stride: Size(2), padding: Edges(1))),
        Problem(
            input: [2, 144, 9, 11], outputs: 20,
            window: Window(kernel: Size(3), stride: Size(2), padding: Edges(1))),
        Problem(
            input: [2, 32, 17, 23], outputs: 16,
            window: Window(kernel: Size(5), padding: Edges(2))),
        Problem(
            input: [5, 16, 6, 3], outputs: 16,
            window: Window(kernel: Size(5), stride: Size(2), padding: Edges(3))),
        Problem(input: [2, 16, 9, 8], outputs: 32, window: Window(kernel: Size(4))),
        Problem(
            input: [2, 16, 2, 2], outputs: 16,
            window: Window(kernel: Size(7), stride: Size(2), padding: Edges(3))),
    ]

    private static func conformance(_ problem: Problem) throws -> Conformance {
        try Conformance(
            GradientCase("weight gradient") { net in
                let x = try net.blocked(try net.parameter("x", problem.input))
                let size = problem.window.kernel
                let fan = problem.input[1] * size.height * size.width
                let bound = (3 / Double(fan)).squareRoot()
                let w = try net.parameter(
                    "w", [problem.outputs, problem.input[1], size.height, size.width],
                    .uniform(-bound...bound))
                return try net.append(.convolution(problem.window, groups: 1), x, w)
            })
    }

    /// Output gradients whose last bit rounded the other way, 2^-8 away, make them differ from the reference.
    @Test(arguments: problems) func agreesWithReference(_ problem: Problem) throws {
        let conformance = try Self.conformance(problem)
        let expected = try conformance.reference(.bf16).filter { $0.key == "gradient w" }
        #expect(expected.count == 1)
        var bits: Results?
        for threads in [1, 2, 7] {
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: "apus-pairs", precision: .bf16))
            #expect(session.implementations.count { $0.kernel == "apus-pairs" } == 1)
            // Images are the library's.
            let results = try conformance.run(session).filter { $0.key == "gradient w" }
            let worst = worstDifference(results, expected)
            #expect(worst.error < 2e-3, "\(worst.name), \(threads) threads")
            if let bits { #expect(results == bits, "\(threads) threads change bits") }
            bits = results
        }
    }

    /// The kernel on given numbers, whose products are exact.
    @Test(arguments: problems) func sumsAreExact(_ problem: Problem) {
        let (input, window) = (problem.input, problem.window)
        let (batch, sources, targets) = (input[0], input[1], problem.outputs)
        let kernel = window.kernel.height
        func size(_ input: Int) -> Int {
            (input + 2 * window.padding.top - kernel) / window.stride.height + 1
        }
        let output = Shape([batch, targets, size(input[2]), size(input[3])])
        let (x, dy) = (Image(input, key: 1), Image(output, key: 2))
        var expected: [Double] = []
        for target in 0..<targets {
            for source in 0..<sources {
                for tap in 0..<kernel * kernel {
                    var sum = 0.0
                    for n in 0..<batch {
                        for i in 0..<output[2] * output[3] {
                            let row = i / output[3] * window.stride.height + tap / kernel
                            let column = i % output[3] * window.stride.width + tap % kernel
                            let (top, left) = (window.padding.top, window.padding.left)
                            guard let met = x.value(n, source, row - top, column - left) else {
                                continue
                            }
                            sum += met * dy.value(n, target, i / output[3], i % output[3])!
                        }
                    }
                    expected.append(sum)
                }
            }
        }
        var geometry = apus_pairs(
            batch: batch, sources: sources, inputHeight: input[2], inputWidth: input[3],
            targets: targets, outputHeight: output[2], outputWidth: output[3], kernel: kernel,
            stride: window.stride.height, padTop: window.padding.top, padLeft: window.padding.left)
        let (from, to) = ((sources + 15) / 16, (targets + 15) / 16)
        let scratch = Arena(count: apus_pairs_scratch(&geometry, from, to))
        var gradient = [Float](repeating: .nan, count: expected.count)
        apus_pairs_correlate(
            &geometry, x.elements.base, dy.elements.base, &gradient, scratch.base, 0, from, 0, to)
        let worst = worstDifference(["dw": gradient.map(Double.init)], ["dw": expected])
        #expect(worst.error < 1e-5)
    }

    /// Brain floats in blocks of 16 channels, whose last are zeros.
    private struct Image {
        let shape: Shape
        let elements: Arena

        init(_ shape: Shape, key: UInt64) {
            self.shape = shape
            let (blocks, pixels) = ((shape[1] + 15) / 16, shape[2] * shape[3])
            let random = RandomKey(seed: key)
            let count = shape[0] * blocks * pixels * 16
            elements = Arena(count: count / 2)
            elements.base.withMemoryRebound(to: UInt16.self, capacity: count) { to in
                for place in 0..<count {
                    let channel = place / 16 / pixels % blocks * 16 + place % 16
                    let value: Float = random.uniform(in: -1...1, at: place)
                    to[place] = channel < shape[1] ? UInt16(value.bitPattern >> 16) : 0
                }
            }
        }

        /// Nil outside of the image.
        func value(_ n: Int, _ channel: Int, _ row: Int, _ column: Int) -> Double? {
            guard 0..<shape[2] ~= row, 0..<shape[3] ~= column else { return nil }
            let plane = n * ((shape[1] + 15) / 16) + channel / 16
            let place = ((plane * shape[2] + row) * shape[3] + column) * 16 + channel % 16
            return elements.base.withMemoryRebound(to: UInt16.self, capacity: place + 1) {
                Double(Float(bitPattern: UInt32($0[place]) << 16))
            }
        }
    }

    /// What they cannot do, or others faster, is left to the library even where a choice asks for them.
    @Test(arguments: [
        (1, Window(kernel: Size(5), dilation: Size(2))), (2, Window(kernel: Size(5))),
        (1, Window(kernel: Size(1, 3))),
        (1, Window(kernel: Size(3), stride: Size(2, 1))), (1, Window(kernel: Size(3))),
    ])
    func othersAreLeftToTheLibrary(_ groups: Int, _ window: Window) throws {
        let conformance = try Conformance(
            GradientCase("others") { net in
                let x = try net.blocked(try net.parameter("x", [2, 32, 11, 10]))
                let size = window.kernel
                let w = try net.parameter("w", [32, 32 / groups, size.height, size.width])
                return try net.append(.convolution(window, groups: groups), x, w)
            })
        let session = try conformance.session(
            EngineSetting(algorithm: "apus-pairs", precision: .bf16))
        #expect(session.implementations.contains { $0.operation.hasPrefix("convolution") })
        #expect(!session.implementations.contains { $0.kernel == "apus-pairs" })
    }
}
