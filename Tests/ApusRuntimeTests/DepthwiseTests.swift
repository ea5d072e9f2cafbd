import ApusGraph
import ApusRuntime
import ApusTensor
import CKernels
import Foundation
import Testing

/// Our own depthwise kernels, in the engine against the reference executor and called directly.
@Suite struct DepthwiseTests {
    static let windows: [Window] = [3, 5, 7].flatMap { size in
        let kernel = Size(size)
        let same = Edges((size - 1) / 2)
        let after = Edges(
            top: (size - 2) / 2, left: (size - 2) / 2, bottom: size / 2, right: size / 2)
        return [
            Window(kernel: kernel, padding: same),
            Window(kernel: kernel, stride: Size(2), padding: same),
            Window(kernel: kernel, stride: Size(2), padding: after),
            Window(kernel: kernel, dilation: Size(2), padding: Edges(size - 1)),
            Window(kernel: kernel, stride: Size(2), dilation: Size(2), padding: Edges(size - 1)),
            Window(kernel: kernel, padding: Edges(top: 0, left: 1, bottom: 2, right: 3)),
        ]
    }

    static func example(
        _ window: Window, channels: Int, batch: Int, image: Size = Size(13, 12)
    ) -> GradientCase {
        GradientCase("depthwise \(window) of \(channels) channels") { net in
            let shape: Shape = [batch, channels, image.height, image.width]
            let x = try net.blocked(try net.parameter("x", shape))
            // Outputs of about 1: a saturated loss would amplify every rounding.
            let bound = (3 / Double(window.kernel.count)).squareRoot()
            let w = try net.parameter(
                "w", [channels, 1, window.kernel.height, window.kernel.width],
                .uniform(-bound...bound))
            let bias = try net.parameter("bias", [channels])
            return try net.append(.convolution(window, groups: channels), x, w, bias)
        }
    }

    @Test(arguments: windows, [5, 16, 24, 40])
    func engineAgreesWithReference(_ window: Window, channels: Int) throws {
        for batch in [1, 3] {
            let conformance = try Conformance(
                Self.example(window, channels: channels, batch: batch))
            let expected = try conformance.reference()
            for setting in [
                EngineSetting(algorithm: "apus-depthwise"),
                EngineSetting(block: 8, threads: 1, algorithm: "apus-depthwise"),
            ] {
                let session = try conformance.session(setting)
                let kernels = session.implementations
                    .filter { $0.operation.hasPrefix("convolution") }.map(\.kernel)
                #expect(kernels.count == 3 && Set(kernels) == ["apus-depthwise"], "\(kernels)")
                let worst = worstDifference(try conformance.run(session), expected)
                #expect(worst.error < 1e-5, "\(worst.name), batch \(batch), block \(setting.block)")
            }
        }
    }

    @Test(arguments: [windows[0], windows[8], windows[12]])
    func threadsDoNotChangeBits(_ window: Window) throws {
        let conformance = try Conformance(Self.example(window, channels: 40, batch: 3))
        let one = try conformance.engine(EngineSetting(threads: 1, algorithm: "apus-depthwise"))
        for threads in [2, 3] {
            let other = try conformance.engine(
                EngineSetting(threads: threads, algorithm: "apus-depthwise"))
            for (name, values) in one {
                #expect(other[name] == values, "\(name) with \(threads) threads")
            }
        }
    }

    /// The passes on numbers both types hold exactly, sums rounded once.
    @Test(arguments: windows, [8, 16])
    func kernelsOfBothTypes(_ window: Window, block: Int) throws {
        for (channels, batch) in [(5, 1), (24, 3)] {
            // In blocks of 16 brain floats are rounded by an instruction that not all machines have.
            for type in [apus_float32, apus_bfloat16]
            where type == apus_float32 || block == 8 || Machine.hasBFloat16 {
                let example = DepthwiseExample(window, channels, batch, block)
                let own = example.kernels(type)
                for (name, expected) in example.sums() {
                    // Weight gradients are 32-bit floats whatever the images are.
                    let isRounded = type == apus_bfloat16 && !name.hasPrefix("d")
                    let scale = expected.map(abs).max() ?? 1
                    let values = try #require(own[name])
                    let worst = zip(values, expected).map { abs($0 - $1) / scale }.max() ?? 1
                    #expect(values.count == expected.count)
                    #expect(worst < (isRounded ? 4e-3 : 2e-6), "\(name), \(type), \(channels)")
                }
            }
        }
    }
}

extension DepthwiseTests {
    /// The weight is one: what comes out is the activation of what went in and of what was there.
    @Test(arguments: [apus_identity, apus_relu, apus_relu6, apus_silu], [8, 16])
    func endings(_ function: apus_function, block: Int) {
        var geometry = apus_window(
            inputHeight: 3, inputWidth: 101, outputHeight: 3, outputWidth: 101, kernelHeight: 1,
            kernelWidth: 1, strideHeight: 1, strideWidth: 1, dilationHeight: 1, dilationWidth: 1,
            padTop: 0, padLeft: 0)
        let x = (0..<303 * block).map { 200 * Float($0) / Float(303 * block) - 100 }
        let weights = [Float](repeating: 1, count: block)
        var scratch = [Float](repeating: .nan, count: apus_depthwise_scratch(block, &geometry))
        for adds in [false, true] {
            var y = [Float](repeating: 2, count: x.count)
            apus_depthwise(
                block, apus_float32, x, weights, nil, &y, adds, function, &geometry, &scratch, 1,
                0, 1)
            for (input, got) in zip(x, y) {
                let v = Double(adds ? input + 2 : input)
                let expected =
                    switch function {
                    case apus_relu: max(0, v)
                    case apus_relu6: min(6, max(0, v))
                    case apus_silu: v / (1 + exp(-v))
                    default: v
                    }
                // Beyond -87 the exponential is constant.
                #expect(abs(Double(got) - expected) <= 1e-6 * abs(expected) + 1e-30, "of \(v)")
            }
        }
    }
}

/// Images, weights and gradients of a depthwise convolution in blocked layout.
private struct DepthwiseExample {
    let window: Window
    let channels: Int
    let batch: Int
    let block: Int
    let input = Size(11, 13)
    let output: Size
    let blocks: Int
    let x: [Float]
    let dy: [Float]
    let w: [Float]
    let bias: [Float]

    init(_ window: Window, _ channels: Int, _ batch: Int, _ block: Int) {
        (self.window, self.channels, self.batch, self.block) = (window, channels, batch, block)
        let output = window.output(of: input) ?? Size(1)
        self.output = output
        let blocks = (channels + block - 1) / block
        self.blocks = blocks
        // Multiples of 1/64 below 2: 8 bits.
        func numbers(_ name: String, _ count: Int) -> [Float] {
            let key = RandomKey(seed: 3).child(name)
            return (0..<count).map { (key.uniform(at: $0) * 254).rounded() / 64 - 2 }
        }
        func image(_ name: String, _ size: Size) -> [Float] {
            var values = numbers(name, batch * blocks * size.count * block)
            for i in values.indices {
                let channel = i / (size.count * block) % blocks * block + i % block
                if channel >= channels { values[i] = 0 }
            }
            return values
        }
        x = image("x", input)
        dy = image("dy", output)
        w = numbers("w", channels * window.kernel.count)
        bias = numbers("bias", channels)
    }

    private func index(_ n: Int, _ c: Int, _ size: Size, _ row: Int, _ column: Int) -> Int {
        (((n * blocks + c / block) * size.height + row) * size.width + column) * block + c % block
    }

    /// What the definition gives: every product of every output.
    func sums() -> [String: [Double]] {
        var y = [Double](repeating: 0, count: dy.count)
        var dx = [Double](repeating: 0, count: x.count)
        var dw = [Double](repeating: 0, count: w.count)
        var dbias = [Double](repeating: 0, count: channels)
        let (s, d, p, k) = (window.stride, window.dilation, window.padding, window.kernel)
        for n in 0..<batch {
            for c in 0..<channels {
                for i in 0..<output.height {
                    for j in 0..<output.width {
                        let to = index(n, c, output, i, j)
                        y[to] += Double(bias[c])
                        dbias[c] += Double(dy[to])
                        for tap in 0..<k.count {
                            let row = i * s.height - p.top + tap / k.width * d.height
                            let column = j * s.width - p.left + tap % k.width * d.width
                            guard (0..<input.height).contains(row),
                                (0..<input.width).contains(column)
                            else { continue }
                            let from = index(n, c, input, row, column)
                            let weight = Double(w[c * k.count + tap])
                            y[to] += Double(x[from]) * weight
                            dx[from] += Double(dy[to]) * weight
                            dw[c * k.count + tap] += Double(x[from]) * Double(dy[to])
                        }
                    }
                }
            }
        }
        return ["y": y, "input": dx, "dw": dw, "dbias": dbias]
    }

    /// The same by the kernels, the work cut in two.
    func kernels(_ type: apus_type) -> [String: [Double]] {
        var geometry = apus_window(
            inputHeight: input.height, inputWidth: input.width,
            outputHeight: output.height, outputWidth: output.width,
            kernelHeight: window.kernel.height, kernelWidth: window.kernel.width,
            strideHeight: window.stride.height, strideWidth: window.stride.width,
            dilationHeight: window.dilation.height, dilationWidth: window.dilation.width,
            padTop: window.padding.top, padLeft: window.padding.left)
        let taps = window.kernel.count
        var packed = [Float](repeating: .nan, count: blocks * taps * block)
        var packedBias = [Float](repeating: .nan, count: blocks * block)
        apus_depthwise_pack(block, w, &packed, channels, taps, 0, blocks)
        apus_depthwise_pack(block, bias, &packedBias, channels, 1, 0, blocks)
        var scratch = [Float](repeating: .nan, count: apus_depthwise_scratch(block, &geometry))
        let chunks = min(batch, 2)
        var partial = [Float](repeating: .nan, count: chunks * blocks * (taps + 1) * block)
        var dw = [Float](repeating: .nan, count: w.count)
        var dbias = [Float](repeating: .nan, count: channels)
        var y = stored([Float](repeating: .nan, count: dy.count), type)
        var dx = stored([Float](repeating: .nan, count: x.count), type)
        let (x, dy) = (stored(x, type), stored(dy, type))
        let planes = batch * blocks
        let units = chunks * blocks
        for (begin, end) in [(0, planes / 2), (planes / 2, planes)] {
            apus_depthwise(
                block, type, x, packed, packedBias, &y, false, apus_identity, &geometry, &scratch,
                blocks, begin, end)
            apus_depthwise_input_gradient(
                block, type, dy, packed, &dx, &geometry, &scratch, blocks, begin, end)
        }
        for (begin, end) in [(0, units / 2), (units / 2, units)] {
            apus_depthwise_weight_gradient(
                block, type, x, dy, &partial, true, &geometry, &scratch, batch, chunks, blocks,
                begin, end)
        }
        apus_depthwise_collect(
            block, partial, &dw, &dbias, channels, taps, chunks, blocks, 0, blocks)
        return [
            "y": loaded(y, type), "input": loaded(dx, type), "dw": dw.map(Double.init),
            "dbias": dbias.map(Double.init),
        ]
    }

    private func stored(_ values: [Float], _ type: apus_type) -> [UInt16] {
        type == apus_bfloat16
            ? values.map { UInt16($0.bitPattern >> 16) }
            : values.flatMap {
                [UInt16(truncatingIfNeeded: $0.bitPattern), UInt16($0.bitPattern >> 16)]
            }
    }

    private func loaded(_ halves: [UInt16], _ type: apus_type) -> [Double] {
        let bits =
            type == apus_bfloat16
            ? halves.map { UInt32($0) << 16 }
            : stride(from: 0, to: halves.count, by: 2).map {
                UInt32(halves[$0]) | UInt32(halves[$0 + 1]) << 16
            }
        return bits.map { Double(Float(bitPattern: $0)) }
    }
}
