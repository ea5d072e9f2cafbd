import ApusGraph
import ApusRuntime
import ApusTensor
import CKernels
import Testing

/// Our own Winograd convolutions, by the engine and by themselves.
@Suite(.enabled(if: Machine.hasAVX512)) struct WinogradTests {
    private typealias Problem = (input: Shape, outputs: Int, padding: Edges, stride: Int)

    @Test(arguments: [1, 2, 3]) func byTiles(threads: Int) throws {
        try check(
            "apus-winograd-tiles", threads,
            [
                ([2, 16, 13, 15], 32, Edges(1), 1), ([3, 20, 9, 8], 17, Edges(0), 1),
                ([2, 40, 5, 4], 48, Edges(top: 0, left: 1, bottom: 2, right: 1), 1),
                ([1, 3, 12, 40], 16, Edges(top: 1, left: 2, bottom: 0, right: 2), 1),
                ([2, 16, 16, 16], 32, Edges(1), 2), ([3, 20, 17, 23], 17, Edges(0), 2),
                ([2, 40, 9, 6], 48, Edges(top: 0, left: 1, bottom: 2, right: 1), 2),
                ([1, 5, 14, 84], 16, Edges(top: 1, left: 0, bottom: 0, right: 2), 2),
                ([4, 17, 3, 2], 33, Edges(top: 0, left: 0, bottom: 1, right: 1), 2),
            ])
    }

    @Test(arguments: [1, 2, 3]) func byChannels(threads: Int) throws {
        try check(
            "apus-winograd-channels", threads,
            [
                ([2, 128, 5, 6], 130, Edges(1), 1), ([1, 137, 4, 9], 128, Edges(0), 1),
                ([2, 128, 14, 9], 130, Edges(1), 2), ([1, 137, 5, 9], 128, Edges(0), 2),
            ])
    }

    private func check(_ algorithm: String, _ threads: Int, _ problems: [Problem]) throws {
        for (input, outputs, padding, stride) in problems {
            let example = GradientCase("winograd") { net in
                let x = try net.blocked(try net.parameter("x", input))
                let bound = (3 / Double(9 * input[1])).squareRoot()
                let w = try net.parameter(
                    "w", [outputs, input[1], 3, 3], .uniform(-bound...bound))
                let window = Window(kernel: Size(3), stride: Size(stride), padding: padding)
                return try net.append(.convolution(window, groups: 1), x, w)
            }
            let conformance = try Conformance(example)
            let session = try conformance.session(
                EngineSetting(threads: threads, algorithm: algorithm))
            let kernels = session.implementations
                .filter { $0.operation.hasPrefix("convolution") }.map(\.kernel)
            #expect(kernels.count == 3)
            #expect(kernels.allSatisfy { $0.hasPrefix("apus_wino") }, "\(kernels)")
            let worst = worstDifference(try conformance.run(session), try conformance.reference())
            #expect(worst.error < 1e-5, "\(worst.name) of \(input) /\(stride)")
            let again = worstDifference(
                try conformance.run(session), try conformance.run(session))
            #expect(
                again.error == 0, "\(again.name) of \(input) /\(stride) changes from run to run")
        }
    }

    /// Images of either type, every epilogue, both ways to share out the work.
    @Test(arguments: Kernel.all) func kernels(_ kernel: Kernel) {
        // Images in 16 bits round the result to 8 bits of precision, relative to itself.
        let isShort = kernel.geometry.type == apus_bfloat16
        let tolerance = isShort ? 0.005 : 1e-5
        for byTiles in [true, false] {
            let (y, expected) = (kernel.output(byTiles: byTiles), kernel.expectedOutput())
            #expect(worst(y, expected) < tolerance, "output, by tiles: \(byTiles)")
            guard !kernel.geometry.transposes else { continue }
            let (dw, sums) = (
                kernel.weightGradient(byTiles: byTiles), kernel.expectedWeightGradient()
            )
            #expect(worst(dw, sums) < 1e-5, "weight gradient, by tiles: \(byTiles)")
        }
    }

    private func worst(_ values: [Double], _ expected: [Double]) -> Double {
        worstDifference(["values": values], ["values": expected]).error
    }
}

/// A convolution with its operands, computed by the C functions and by definition.
struct Kernel: Sendable, CustomTestStringConvertible {
    var geometry: apus_winograd
    var hasBias = false
    let x: [Float]
    let weights: [Float]
    let bias: [Float]
    /// What the output holds before, or the output's gradient.
    let y: [Float]

    /// An input of more than 12 MiB, for which a thread does several pairs of output blocks at a time.
    static let large = Kernel(
        apus_float32, batch: 1, [1, 401, 400], [65, 201, 200], pad: (1, 1), stride: 2)

    static let all: [Kernel] =
        [large]
        + (Machine.hasBFloat16 ? [apus_float32, apus_bfloat16] : [apus_float32]).flatMap { type in
            [
                Kernel(type, batch: 2, [16, 13, 9], [16, 13, 9], pad: (1, 1)),
                Kernel(type, batch: 1, [3, 7, 41], [20, 8, 39], pad: (2, 0)),
                Kernel(type, batch: 3, [33, 5, 6], [48, 3, 7], pad: (0, 2), bias: true),
                Kernel(type, batch: 2, [32, 8, 8], [40, 8, 8], pad: (1, 1), transposes: true),
                Kernel(type, batch: 2, [17, 6, 6], [16, 7, 6], pad: (2, 1), adds: true),
                Kernel(
                    type, batch: 5, [16, 4, 4], [32, 4, 4], pad: (1, 1), bias: true, adds: true,
                    rectifies: true),
                Kernel(type, batch: 2, [16, 13, 9], [16, 7, 5], pad: (1, 1), stride: 2),
                Kernel(type, batch: 1, [3, 7, 80], [20, 3, 41], pad: (0, 1), stride: 2),
                Kernel(
                    type, batch: 3, [33, 16, 6], [48, 8, 3], pad: (0, 0), bias: true, stride: 2,
                    adds: true, rectifies: true),
                Kernel(
                    type, batch: 2, [32, 8, 8], [40, 16, 16], pad: (0, 0), stride: 2,
                    transposes: true),
                Kernel(
                    type, batch: 3, [20, 3, 5], [17, 7, 9], pad: (1, 0), stride: 2,
                    transposes: true,
                    adds: true),
                Kernel(type, batch: 2, [16, 7, 6], [16, 7, 6], pad: (1, 1), cuts: false),
                // Tiles of two and of three pixels at the edge.
                Kernel(type, batch: 5, [16, 14, 14], [32, 14, 14], pad: (1, 1)),
                Kernel(type, batch: 4, [20, 7, 6], [16, 7, 6], pad: (1, 1), transposes: true),
                Kernel(type, batch: 3, [16, 2, 11], [17, 2, 11], pad: (1, 1), bias: true),
                Kernel(type, batch: 5, [16, 28, 13], [32, 14, 7], pad: (1, 1), stride: 2),
                Kernel(
                    type, batch: 4, [32, 6, 7], [20, 12, 14], pad: (0, 0), stride: 2,
                    transposes: true),
                Kernel(
                    type, batch: 4, [32, 7, 6], [20, 14, 12], pad: (1, 1), stride: 2,
                    transposes: true),
            ]
        }

    /// Shapes are channels, height and width.
    init(
        _ type: apus_type, batch: Int, _ input: [Int], _ output: [Int], pad: (Int, Int),
        bias hasBias: Bool = false, stride: Int = 1, transposes: Bool = false, adds: Bool = false,
        rectifies: Bool = false, cuts: Bool = true
    ) {
        geometry = apus_winograd(
            type: type, batch: batch, inputChannels: input[0], inputHeight: input[1],
            inputWidth: input[2], outputChannels: output[0], outputHeight: output[1],
            outputWidth: output[2], padTop: pad.0, padLeft: pad.1, stride: stride,
            transposes: transposes,
            adds: adds, rectifies: rectifies, cuts: cuts)
        self.hasBias = hasBias
        let key = RandomKey(seed: 5)
        func numbers(_ count: Int, _ offset: Int) -> [Float] {
            (0..<count).map { 2 * key.uniform(at: offset + $0) - 1 }
        }
        /// Blocked, with zeros past the last channel; numbers that 16 bits hold exactly.
        func image(_ shape: [Int], _ offset: Int) -> [Float] {
            let plane = shape[1] * shape[2] * 16
            let blocks = (shape[0] + 15) / 16
            return numbers(batch * blocks * plane, offset).enumerated().map { i, value in
                let channel = i / plane % blocks * 16 + i % 16
                return channel < shape[0]
                    ? Float(bitPattern: value.bitPattern & 0xFFFF_0000) : 0
            }
        }
        x = image(input, 0)
        y = image(output, 1 << 20)
        weights = numbers(input[0] * output[0] * 9, 2 << 20)
        bias = numbers(output[0], 3 << 20)
    }

    var testDescription: String {
        let g = geometry
        return "\(g.type == apus_float32 ? "fp32" : "bf16") b\(g.batch) \(g.inputChannels)->"
            + "\(g.outputChannels) \(g.inputHeight)x\(g.inputWidth)\(g.stride == 2 ? " /2" : "")"
            + "\(hasBias ? " bias" : "")\(g.transposes ? " transposed" : "")"
            + "\(g.adds ? " adds" : "")\(g.rectifies ? " rectifies" : "")\(g.cuts ? "" : " whole")"
    }

    // ---- By the kernels ----

    private func memory(_ image: [Float]) -> Arena {
        let arena = Arena(count: image.count)
        if geometry.type == apus_float32 {
            arena.base.update(from: image, count: image.count)
        } else {
            arena.base.withMemoryRebound(to: UInt16.self, capacity: image.count) {
                for (i, value) in image.enumerated() { $0[i] = UInt16(value.bitPattern >> 16) }
            }
        }
        return arena
    }

    private func numbers(_ arena: Arena) -> [Double] {
        if geometry.type == apus_float32 { return arena.buffer.map(Double.init) }
        return arena.base.withMemoryRebound(to: UInt16.self, capacity: arena.count) { halves in
            (0..<arena.count).map { Double(Float(bitPattern: UInt32(halves[$0]) << 16)) }
        }
    }

    func output(byTiles: Bool) -> [Double] {
        var g = geometry
        let (x, y) = (memory(x), memory(y))
        let u = Arena(count: apus_winograd_weight_count(&g))
        let pairs = apus_winograd_pairs(&g)
        let bias = Arena(count: bias.count)
        bias.base.update(from: self.bias, count: self.bias.count)
        apus_winograd_weights(&g, weights, u.base, 0, pairs)
        if byTiles {
            // A stride that leaves a rest.
            let units = apus_winograd_units(&g)
            let stride = min(7, units)
            let scratch = Arena(count: apus_winograd_scratch(&g, stride))
            for (begin, end) in [(0, units / 3), (units / 3, units)] {
                apus_winograd_by_tiles(
                    &g, x.base, u.base, hasBias ? bias.base : nil, y.base, scratch.base, stride,
                    begin, end)
            }
        } else {
            let v = Arena(count: apus_winograd_input_count(&g))
            let scratch = Arena(count: apus_winograd_pair_scratch(&g))
            apus_winograd_input(&g, x.base, v.base, 0, (g.inputChannels + 15) / 16)
            // Weights made before and on the way.
            for (begin, end, known) in [(0, 1, u.base), (1, pairs, nil)] {
                apus_winograd_by_pairs(
                    &g, v.base, weights, known, hasBias ? bias.base : nil, y.base, scratch.base,
                    begin, end)
            }
        }
        return numbers(y)
    }

    func weightGradient(byTiles: Bool) -> [Double] {
        var g = geometry
        let (x, dy) = (memory(x), memory(y))
        let gradient = Arena(count: weights.count)
        let pairs = apus_winograd_pairs(&g)
        if byTiles {
            let units = apus_winograd_units(&g)
            let part = apus_winograd_weight_count(&g)
            let parts = min(2, units)
            let s = Arena(count: 2 * part)
            let scratch = Arena(count: apus_winograd_scratch(&g, 5))
            for i in 0..<parts {
                apus_winograd_weight_gradient_by_tiles(
                    &g, x.base, dy.base, s.base + i * part, scratch.base, 5, units * i / parts,
                    units * (i + 1) / parts)
            }
            apus_winograd_weight_gradient_finish(&g, s.base, parts, gradient.base, 0, pairs)
        } else {
            let v = Arena(count: apus_winograd_input_count(&g))
            let scratch = Arena(count: apus_winograd_pair_scratch(&g))
            apus_winograd_input(&g, x.base, v.base, 0, (g.inputChannels + 15) / 16)
            apus_winograd_weight_gradient_by_pairs(
                &g, v.base, dy.base, gradient.base, scratch.base, 0, pairs)
        }
        return gradient.buffer.map(Double.init)
    }

    // ---- By definition ----

    /// Where an output pixel's row (or column) meets a weight's; nil outside of the input.
    private func source(_ output: Int, _ tap: Int, _ pad: Int, _ count: Int) -> Int? {
        let stride = geometry.stride
        guard geometry.transposes else {
            let place = output * stride + tap - pad
            return (0..<count).contains(place) ? place : nil
        }
        let padding = (stride == 1 ? 2 : 1) - pad
        let place = output + padding - tap
        return place % stride == 0 && (0..<count).contains(place / stride) ? place / stride : nil
    }

    /// Calls `body` with the indices of output, input and weight of every product.
    private func forEachProduct(_ body: (_ y: Int, _ x: Int, _ weight: Int) -> Void) {
        let g = geometry
        func index(_ channels: Int, _ h: Int, _ w: Int, _ n: Int, _ c: Int, _ i: Int, _ j: Int)
            -> Int
        {
            (((n * ((channels + 15) / 16) + c / 16) * h + i) * w + j) * 16 + c % 16
        }
        for n in 0..<g.batch {
            for k in 0..<g.outputChannels {
                for i in 0..<g.outputHeight {
                    for j in 0..<g.outputWidth {
                        let out = index(
                            g.outputChannels, g.outputHeight, g.outputWidth, n, k, i, j)
                        for c in 0..<g.inputChannels {
                            for tap in 0..<9 {
                                guard let row = source(i, tap / 3, g.padTop, g.inputHeight),
                                    let column = source(j, tap % 3, g.padLeft, g.inputWidth)
                                else { continue }
                                let weight =
                                    g.transposes
                                    ? (c * g.outputChannels + k) * 9 + tap
                                    : (k * g.inputChannels + c) * 9 + tap
                                body(
                                    out,
                                    index(
                                        g.inputChannels, g.inputHeight, g.inputWidth, n, c, row,
                                        column), weight)
                            }
                        }
                    }
                }
            }
        }
    }

    func expectedOutput() -> [Double] {
        let g = geometry
        var result = y.map { g.adds ? Double($0) : 0 }
        let plane = g.outputHeight * g.outputWidth * 16
        let blocks = (g.outputChannels + 15) / 16
        for i in result.indices where hasBias {
            let channel = i / plane % blocks * 16 + i % 16
            if channel < g.outputChannels { result[i] += Double(bias[channel]) }
        }
        forEachProduct { y, x, weight in
            result[y] += Double(self.x[x]) * Double(weights[weight])
        }
        return g.rectifies ? result.map { max(0, $0) } : result
    }

    func expectedWeightGradient() -> [Double] {
        var result = [Double](repeating: 0, count: weights.count)
        forEachProduct { y, x, weight in result[weight] += Double(self.x[x]) * Double(self.y[y]) }
        return result
    }
}
