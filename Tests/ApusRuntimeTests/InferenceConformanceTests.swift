import ApusCompiler
import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// Networks in use, whose normalizations are folded into convolutions, against the reference
/// executor on the graph as it was written.
@Suite struct InferenceConformanceTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let network: Network
        /// How many of its operations an algorithm of our own does where it is asked to.
        let own: (algorithm: String, count: Int)?

        init(
            _ name: String, input: Shape, own: (algorithm: String, count: Int)? = nil,
            @LayerBuilder _ layers: () -> [Layer]
        ) {
            testDescription = name
            self.own = own
            network = Network(name, input: input, layers)
        }
    }

    static let cases = [
        Case("convolution, norm, relu", input: [3, 9, 7]) {
            Convolution("a", 24, kernel: 3)
            BatchNorm("b")
            Activation(.relu)
        },
        Case("identity shortcut over odd channels", input: [10, 6, 5]) {
            Residual("") {
                Convolution("a", 10, kernel: 3)
                BatchNorm("b")
                Activation(.relu)
                Convolution("c", 10, kernel: 3)
                BatchNorm("d")
            }
            Activation(.relu)
        },
        Case("projection shortcut", input: [16, 9, 9]) {
            Residual("") {
                Convolution("a", 40, kernel: 3, stride: 2)
                BatchNorm("b")
            } shortcut: {
                Convolution("c", 40, kernel: 1, stride: 2)
                BatchNorm("d")
            }
            Activation(.relu)
        },
        Case("depthwise and groups", input: [32, 8, 8]) {
            Convolution.depthwise("a", kernel: 5)
            BatchNorm("b", epsilon: 1e-3)
            Activation(.relu)
            Convolution("c", 32, kernel: 3, groups: 2)
            BatchNorm("d")
        },
        Case("a shortcut that is read again later", input: [16, 8, 8]) {
            Concatenate {
                Identity()
                Residual("r") {
                    Convolution("a", 16, kernel: 3)
                    BatchNorm("b")
                }
            }
        },
        Case("squeeze-and-excitation before few weights", input: [24, 9, 9]) {
            Residual("") {
                Scale {
                    GlobalAveragePool()
                    Convolution("s", 6, kernel: 1, bias: true)
                    Activation(.silu)
                    Convolution("e", 24, kernel: 1, bias: true)
                    Activation(.sigmoid)
                }
                Convolution("a", 24, kernel: 1)
                BatchNorm("b")
            }
            Scale {
                GlobalAveragePool()
                Activation(.sigmoid)
            }
            Convolution("c", 10, kernel: 1, stride: 2, bias: true)
        },
        Case("a stem", input: [3, 29, 38], own: ("apus-stem", 1)) {
            Convolution("a", 40, kernel: 7, stride: 2)
            BatchNorm("b")
            Activation(.relu)
        },
        Case("a stem with a bias", input: [1, 18, 23], own: ("apus-stem", 1)) {
            Convolution("a", 16, kernel: 7, stride: 2, bias: true)
        },
        Case("every ending of a direct sum", input: [20, 9, 13], own: ("apus-direct", 4)) {
            Residual("") {
                Convolution("a", 40, kernel: 1)
                BatchNorm("b")
                Activation(.silu)
                Convolution("c", 72, kernel: 1)
                BatchNorm("d")
                Activation(.relu6)
                Convolution("e", 20, kernel: 1)
                BatchNorm("f")
            }
            Activation(.relu)
            Convolution("g", 33, kernel: 1)
        },
        Case("direct sums over windows", input: [35, 15, 11], own: ("apus-direct", 4)) {
            Convolution("a", 40, kernel: 5, stride: 2)
            BatchNorm("b")
            Convolution("c", 24, kernel: 3)
            BatchNorm("d")
            Convolution("e", 50, kernel: 3, dilation: 2)
            Convolution("f", 16, kernel: 1, stride: 2)
            BatchNorm("g")
        },
        Case("direct sums over many pixels", input: [17, 31, 19], own: ("apus-direct", 1)) {
            Convolution("a", 50, kernel: 1, bias: true)
        },
        Case("every ending of a depthwise sum", input: [24, 11, 17], own: ("apus-depthwise", 5)) {
            Convolution.depthwise("a", kernel: 3)
            BatchNorm("b")
            Activation(.silu)
            Convolution.depthwise("c", kernel: 5, stride: 2)
            BatchNorm("d")
            Activation(.relu6)
            Residual("") {
                Convolution.depthwise("e", kernel: 3)
                BatchNorm("f")
            }
            Activation(.relu)
            Residual("") {
                Convolution.depthwise("g", kernel: 3, dilation: 2)
                BatchNorm("h")
            }
            Activation(.silu)
            Convolution.depthwise("i", kernel: 7)
        },
        Case("images of one pixel", input: [37, 1, 1], own: ("apus-vector", 4)) {
            Convolution("a", 250, kernel: 1, bias: true)
            Activation(.silu)
            Convolution("b", 9, kernel: 1)
            BatchNorm("c")
            Convolution("d", 53, kernel: 1, stride: 2)
            Flatten()
            Dense("e", 7)
        },
        Case("a bias keeps its own addition", input: [16, 8, 8]) {
            Convolution("a", 16, kernel: 3, bias: true)
            BatchNorm("b")
        },
    ]

    @Test(arguments: cases, [1, 2])
    func foldedNetworksAgree(_ example: Case, batch: Int) throws {
        var network = example.network
        network.layers += [Flatten().layer]
        let graph = try network.graph(batch: batch, mode: .inference)
        let store = ParameterStore(graph, seed: 3)
        let key = RandomKey(seed: 5)
        // Statistics that are not 0 and 1, or folding would change nothing.
        for name in store.names where name.contains(".") {
            guard let shape = store.shape(name), shape.rank == 1 else { continue }
            let low: Float = name.hasSuffix("running_var") ? 0.5 : -0.5
            let values = (0..<shape.count).map {
                key.child(name).uniform(in: low...low + 1.5, at: $0)
            }
            try store.set(name, Tensor(shape, values))
        }
        let images = Tensor(
            Shape([batch] + network.input.dimensions),
            (0..<batch * network.input.count).map { 2 * key.uniform(at: $0) - 1 })

        var sources: [ValueID: [Double]] = [:]
        for node in graph.nodes where node.inputs.isEmpty {
            let tensor = node.op == .input ? images : store.tensor(node.path)
            sources[node.outputs[0]] = tensor?.elements.map(Double.init)
        }
        let output = try #require(graph.outputs["logits"])
        let expected = try #require(ReferenceExecutor(graph).run(sources)[output])

        let precisions = Machine.hasBFloat16 ? Precision.allCases : [.fp32]
        for (fuses, precision) in [true, false].flatMap({ fuses in
            precisions.map { (fuses, $0) }
        }) {
            var configuration = Session.Configuration()
            configuration.tunes = false
            configuration.fusesNormalization = fuses
            configuration.precision = precision
            let problems = try Session(graph, parameters: store, configuration: configuration)
                .choices
            for algorithm in [
                "direct", "apus-winograd-tiles", "apus-winograd-channels", "apus-direct",
                "apus-depthwise", "apus-vector", "apus-amx", "apus-stem",
            ] {
                // Where it is not offered, the direct algorithm steps in.
                configuration.choices = problems.mapValues { _ in algorithm }
                let session = try Session(graph, parameters: store, configuration: configuration)
                if let own = example.own, algorithm == own.algorithm, fuses, precision == .fp32,
                    Machine.hasAVX512
                {
                    let count = session.implementations.count { $0.kernel == algorithm }
                    #expect(count == own.count)
                }
                // Twice, the first time of another image: weights that depend on it must not stay.
                for image in [images.elements.reversed(), images.elements] {
                    session.setInput("images", image)
                    session.run()
                }
                let own = session.output("logits").elements
                let scale = expected.map(abs).max() ?? 1
                let worst = zip(own, expected).map { abs(Double($0) - $1) }.max() ?? 0
                let tolerance = precision == .fp32 ? 1e-5 : 2e-2
                #expect(worst / scale < tolerance, "fused: \(fuses), \(algorithm), \(precision)")
            }
        }
    }

    /// Threads share out pixels and channels, never a sum.
    @Test(.enabled(if: Machine.hasAVX512)) func sumsDoNotDependOnThreads() throws {
        for example in Self.cases {
            guard let own = example.own else { continue }
            var network = example.network
            network.layers += [Flatten().layer]
            let graph = try network.graph(batch: 2, mode: .inference)
            let store = ParameterStore(graph, seed: 3)
            let images = (0..<2 * network.input.count).map {
                RandomKey(seed: 7).uniform(in: -1...1, at: $0)
            }
            let results = try [1, 2, 7].map { threads in
                var configuration = Session.Configuration()
                configuration.tunes = false
                configuration.threads = threads
                let problems = try Session(graph, parameters: store, configuration: configuration)
                    .choices
                configuration.choices = problems.mapValues { _ in own.algorithm }
                let session = try Session(graph, parameters: store, configuration: configuration)
                session.setInput("images", images)
                session.run()
                return session.output("logits").elements
            }
            #expect(results[1] == results[0] && results[2] == results[0], "\(example)")
        }
    }

    /// Folded weights are renewed when the parameters they were made of change.
    @Test func newParametersCount() throws {
        let network = Network("n", input: [8, 4, 4]) {
            Convolution("a", 8, kernel: 3)
            BatchNorm("b")
            Flatten()
        }
        let graph = try network.graph(batch: 1, mode: .inference)
        let store = ParameterStore(graph, seed: 1)
        let session = try Session(graph, parameters: store)
        session.setInput("images", (0..<128).map { Float($0 % 7) - 3 })
        session.run()
        let before = session.output("logits").elements
        try store.set("b.weight", Tensor([8], repeating: 2))
        session.run()
        let after = session.output("logits").elements
        #expect(before.contains { $0 != 0 })
        for (old, new) in zip(before, after) { #expect(abs(new - 2 * old) <= 1e-5 * abs(new)) }
    }
}
