import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// The engine against the reference executor: outputs, gradients and updated buffers of every
/// operation, in both block widths, fused or not.
@Suite struct ConformanceTests {
    @Test(arguments: GradientCase.convolutions + GradientCase.engineConvolutions)
    func convolution(_ example: GradientCase) throws { try check(example) }

    @Test(arguments: GradientCase.normalizations + GradientCase.engineNormalizations)
    func normalization(_ example: GradientCase) throws { try check(example) }

    @Test(arguments: GradientCase.pointwise + GradientCase.enginePointwise)
    func pointwise(_ example: GradientCase) throws { try check(example) }

    @Test(arguments: GradientCase.poolings + GradientCase.enginePoolings)
    func pooling(_ example: GradientCase) throws {
        // Up to 25 windows add to one brain float, which is rounded every time.
        try check(example, brainFloats: 2e-2)
    }

    @Test(arguments: GradientCase.pooledNormalizations)
    func poolingOfNormalized(_ example: GradientCase) throws {
        let conformance = try Conformance(example)
        let merged = try conformance.session(EngineSetting()).program.graph.nodes.count { node in
            if case .batchNormGradient(let n, _) = node.op { n.maxPool != nil } else { false }
        }
        #expect(merged == 1)
        try check(example, brainFloats: 2e-2)
    }

    @Test(arguments: GradientCase.matrices + GradientCase.engineMatrices)
    func matricesAndLosses(_ example: GradientCase) throws { try check(example) }

    @Test(arguments: GradientCase.channels + GradientCase.engineChannels)
    func channels(_ example: GradientCase) throws { try check(example) }

    @Test(arguments: GradientCase.engineBlocks + GradientCase.excitedBlocks)
    func blocks(_ example: GradientCase) throws { try check(example, brainFloats: 5e-2) }

    private func check(_ example: GradientCase, brainFloats tolerance: Double = 1e-2) throws {
        let conformance = try Conformance(example)
        let expected = try conformance.reference()
        #expect(expected.values.allSatisfy { $0.contains { $0 != 0 } }, "nothing to compare")
        for setting in EngineSetting.all {
            let worst = worstDifference(try conformance.engine(setting), expected)
            #expect(worst.error < 1e-5, "\(worst.name) with \(setting.testDescription)")
        }
        guard Machine.hasBFloat16 else { return }
        // A sum whose last bit differs may round to the neighbouring brain float, 2^-8 away.
        let setting = EngineSetting(threads: 1, precision: .bf16)
        let worst = worstDifference(
            try conformance.engine(setting), try conformance.reference(.bf16))
        #expect(worst.error < tolerance, "\(worst.name) with \(setting.testDescription)")
    }

    /// Winograd's transforms lose digits (Lavin and Gray 2016); where the library does not offer
    /// them, the direct algorithm must step in.
    @Test(arguments: [16, 32, 64].flatMap { c in [1, 2, 3].map { (c, $0) } })
    func winograd(channels: Int, threads: Int) throws {
        let example = GradientCase("convolutions") { net in
            let x = try net.blocked(try net.parameter("x", [2, channels, 13, 15]))
            // Outputs of about 1: a saturated loss would amplify every rounding.
            let bound = (3 / Double(9 * channels)).squareRoot()
            let w = try net.parameter(
                "w", [channels, channels, 3, 3], .uniform(-bound...bound))
            let bias = try net.parameter("bias", [channels])
            let window = Window(kernel: Size(3), padding: Edges(1))
            return try net.append(.convolution(window, groups: 1), x, w, bias)
        }
        let conformance = try Conformance(example)
        let session = try conformance.session(
            EngineSetting(threads: threads, algorithm: "winograd"))
        if Machine.hasAVX512 {
            let kernels = session.implementations
                .filter { $0.operation.hasPrefix("convolution") }.map(\.kernel)
            #expect(!kernels.isEmpty)
            #expect(kernels.allSatisfy { $0.contains("wino") }, "\(kernels)")
        }
        let worst = worstDifference(try conformance.run(session), try conformance.reference())
        #expect(worst.error < 2e-5, "\(worst.name)")
    }

    /// A choice made on another machine may name what this one's library does not offer.
    @Test func anAlgorithmThatIsNotOfferedIsReplaced() throws {
        let example = GradientCase("three channels") { net in
            let x = try net.blocked(try net.parameter("x", [2, 3, 7, 7]))
            let window = Window(kernel: Size(3), padding: Edges(1))
            let w = try net.parameter("w", [5, 3, 3, 3])
            return try net.append(.convolution(window, groups: 1), x, w)
        }
        let conformance = try Conformance(example)
        let session = try conformance.session(EngineSetting(block: 8, algorithm: "winograd"))
        let kernels = session.implementations.map(\.kernel)
        #expect(!kernels.contains { $0.contains("wino") }, "\(kernels)")
        #expect(Set(session.choices.values) == ["direct"])
        let worst = worstDifference(try conformance.run(session), try conformance.reference())
        #expect(worst.error < 1e-5, "\(worst.name)")
    }
}
