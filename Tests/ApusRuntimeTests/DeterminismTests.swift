import ApusCompiler
import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// What must not change from run to run, and what only rounds differently.
@Suite struct DeterminismTests {
    /// A residual block with everything that threads share: convolutions, statistics, pooling.
    private static let example = GradientCase("residual block") { net in
        let shape: Shape = [4, 24, 12, 10]
        let x = try net.blocked(try net.parameter("x", shape))
        let window = Window(kernel: Size(3), padding: Edges(1))
        let w = try net.parameter("w", [24, 24, 3, 3], .uniform(-0.2...0.2))
        let y = try net.append(.convolution(window, groups: 1), x, w)
        let gamma = try net.parameter("gamma", [24])
        let beta = try net.parameter("beta", [24])
        let z = try net.append(.batchNorm(Normalization(epsilon: 1e-5)), y, gamma, beta)
        let sum = try net.append(.activation(.relu), try net.append(.add, z, x))
        let pooled = try net.append(
            .maxPool(Window(kernel: Size(3), stride: Size(2), padding: Edges(1))), sum)
        return try net.append(.dropout(rate: 0.2, key: 9), pooled)
    }

    @Test(arguments: [1, 2, 3], ["direct", "winograd"])
    func equalThreadsGiveEqualBits(threads: Int, algorithm: String) throws {
        let conformance = try Conformance(Self.example)
        let setting = EngineSetting(threads: threads, algorithm: algorithm)
        let session = try conformance.session(setting)
        let first = try conformance.run(session)
        let second = worstDifference(try conformance.run(session), first)
        #expect(second.error == 0, "the second run of one session, \(second.name)")
        let other = worstDifference(try conformance.engine(setting), first)
        #expect(other.error == 0, "another session, \(other.name)")
    }

    @Test(arguments: Machine.hasBFloat16 ? Precision.allCases : [.fp32])
    func recomputationChangesNoByte(precision: Precision) throws {
        let network = Network("n", input: [3, 16, 16]) {
            Convolution("a", 24, kernel: 3)
            BatchNorm("b")
            Activation(.silu)
            Concatenate {
                Identity()
                Residual("r") {
                    Convolution("c", 40, kernel: 1)
                    BatchNorm("d")
                    Activation(.relu)
                    Convolution("e", 24, kernel: 3)
                    BatchNorm("f")
                }
                Residual("s") {
                    Convolution("g", 24, kernel: 3)
                    BatchNorm("h")
                }
            }
            Dropout(0.2)
            for (name, projects) in [("t", true), ("u", false)] {
                Residual(name) {
                    Convolution("i", 16, kernel: 1)
                    BatchNorm("j")
                    Activation(.relu)
                    Convolution("k", 64, kernel: 1)
                    BatchNorm("l")
                } shortcut: {
                    if projects {
                        Convolution("m", 64, kernel: 1)
                        BatchNorm("n")
                    }
                }
                Activation(.relu)
            }
            Convolution("v", 16, kernel: 1)
            GlobalAveragePool()
            Flatten()
            Dense("fc", 10)
        }
        let images = (0..<4 * network.input.count).map { Float($0 % 23) / 11 - 1 }
        var results: [[Float]] = []
        for policy in [Recomputation.Policy.none, .all] {
            let store = ParameterStore(try network.graph(batch: 4, mode: .training), seed: 3)
            var configuration = Session.Configuration()
            configuration.precision = precision
            configuration.recomputation = policy
            configuration.usesTunerCache = false
            configuration.tunes = false
            let session = try Session(
                network.lossGraph(batch: 4), parameters: store, differentiate: true,
                configuration: configuration)
            let repeated = session.program.graph.nodes.count {
                if case .normalize = $0.op { true } else { false }
            }
            #expect((repeated > 0) == (policy == .all))
            // Ends of blocks are among them, one with a projected shortcut. They save the signs, once.
            let ends = session.program.graph.nodes.compactMap { node in
                if case .normalize(let n) = node.op, n.activation == .relu, n.addsResidual {
                    n
                } else {
                    nil
                }
            }
            #expect(ends.count == (policy == .all ? 2 : 0))
            #expect(ends.count(where: \.normalizesResidual) == ends.count / 2)
            #expect(ends.count { $0.savesSigns } == ends.count)
            let savers = session.program.graph.nodes.filter { $0.op.signsOutput != nil }
            #expect(savers.count == 2)
            #expect(Set(savers.map { $0.path }).count == 2)
            session.setInput("images", images)
            session.setInput("labels", [1, 2, 3, 4])
            session.run()
            results.append(
                store.parameters.flatMap { store.gradient($0.name)?.elements ?? [] }
                    + store.buffers.flatMap { store.tensor($0.name)?.elements ?? [] })
        }
        #expect(results[0].contains { $0 != 0 })
        #expect(results[0] == results[1])
    }

    @Test(arguments: [2, 3]) func otherThreadsOnlyRoundDifferently(threads: Int) throws {
        let conformance = try Conformance(Self.example)
        let worst = worstDifference(
            try conformance.engine(EngineSetting(threads: threads)),
            try conformance.engine(EngineSetting(threads: 1)))
        #expect(worst.error < 2e-6, "\(worst.name)")
    }

    @Test func anotherKeyDrawsAnotherMask() throws {
        let conformance = try Conformance(Self.example)
        let session = try conformance.session(EngineSetting())
        let first = try conformance.run(session)
        let other = try conformance.run(session, key: RandomKey(seed: 12))
        #expect(worstDifference(other, first).error > 1e-3)
    }

    @Test func changedParametersReachAnInferenceSession() throws {
        var network = TestNetwork()
        let x = network.input("x", [1, 16, 6, 6])
        let w = try network.parameter("w", [16, 16, 3, 3])
        let y = try network.append(.convolution(Window(kernel: Size(3)), groups: 1), x, w)
        network.builder.output("y", try network.append(.flatten, y))
        let graph = network.builder.graph
        let store = ParameterStore(graph, seed: 0)
        var configuration = Session.Configuration()
        configuration.usesTunerCache = false
        let session = try Session(graph, parameters: store, configuration: configuration)
        for value: Float in [1, 2] {
            try store.set("w", Tensor([16, 16, 3, 3], repeating: value))
            session.setInput("x", [Float](repeating: 1, count: 16 * 36))
            session.run()
            let isRight = session.output("y").elements.allSatisfy { abs($0 - 144 * value) < 1e-3 }
            #expect(isRight, "with weights of \(value)")
        }
    }
}
