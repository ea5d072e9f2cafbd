import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct FusionTests {
    private func graph(
        mode: GraphBuilder.Mode = .training, @LayerBuilder _ layers: () -> [Layer]
    ) throws -> Graph {
        try Network("n", input: [8, 8, 8], layers).graph(batch: 2, mode: mode)
    }

    private func count(_ graph: Graph, _ op: Op) -> Int { graph.nodes.filter { $0.op == op }.count }

    private func normalizations(_ graph: Graph) -> [Normalization] {
        graph.nodes.compactMap { node in
            switch node.op {
            case .batchNorm(let n), .normalize(let n): n
            default: nil
            }
        }
    }

    @Test(arguments: [GraphBuilder.Mode.training, .inference])
    func residualBlocksBecomeOneNode(mode: GraphBuilder.Mode) throws {
        let plain = try graph(mode: mode) {
            Residual {
                Convolution("a", 8, kernel: 3)
                BatchNorm("b")
                Activation(.relu)
                Convolution("c", 8, kernel: 3)
                BatchNorm("d")
            }
            Activation(.relu)
        }
        let fused = NormalizationFusion()(plain)
        try fused.verify()
        #expect(fused.nodes.count == plain.nodes.count - 3)
        #expect(count(fused, .add) == 0)
        #expect(count(fused, .activation(.relu)) == 0)
        #expect(normalizations(fused).map(\.addsResidual) == [false, true])
        #expect(normalizations(fused).map(\.activation) == [.relu, .relu])
        // What the caller reads keeps its identity.
        #expect(fused.outputs == plain.outputs)
        #expect(fused.updates == plain.updates)
    }

    @Test func projectionsAreResiduals() throws {
        let plain = try graph {
            Residual {
                Convolution("a", 16, kernel: 3, stride: 2)
                BatchNorm("b")
            } shortcut: {
                Convolution("c", 16, kernel: 1, stride: 2)
                BatchNorm("d")
            }
            Activation(.relu)
        }
        let fused = NormalizationFusion()(plain)
        try fused.verify()
        #expect(fused.nodes.count == plain.nodes.count - 2)
        // One of the two takes the sum; the other is its operand.
        #expect(normalizations(fused).filter(\.addsResidual).count == 1)
        #expect(normalizations(fused).filter { $0.activation != nil }.count == 1)
        #expect(normalizations(fused).allSatisfy { ($0.activation != nil) == $0.addsResidual })
    }

    /// What is rectified and pooled is merged unless somebody else reads the rectified image, a residual was
    /// added or the pass was not asked to.
    @Test func maxPoolingComesAlong() throws {
        let window = Window(kernel: Size(3), stride: Size(2), padding: Edges(1))
        let pool = Op.maxPool(window)
        func merged(
            relu: Bool = true, residual: Bool = false, isRead: Bool = false, asked: Bool = true
        ) throws -> Graph {
            var net = GraphBuilder(mode: .training)
            let x = net.input("images", [2, 8, 8, 8])
            let gamma = try net.parameter("g", [8], .constant(1), role: .scale)
            let beta = try net.parameter("b", [8], .constant(0), role: .shift)
            var y = try net.append(
                .batchNorm(Normalization(epsilon: 1e-5)), [x, gamma, beta], path: "norm")[0]
            if residual { y = try net.append(.add, [y, x], path: "sum")[0] }
            if relu { y = try net.append(.activation(.relu), [y], path: "relu")[0] }
            if isRead { net.output("rectified", y) }
            net.output("pooled", try net.append(pool, [y], path: "pool")[0])
            let graph = NormalizationFusion(mergesPooling: asked)(net.graph)
            try graph.verify()
            #expect(graph.outputs == net.graph.outputs)
            return graph
        }
        let one = try merged()
        #expect(normalizations(one).map(\.maxPool) == [window])
        #expect(count(one, pool) == 0)
        #expect(one.shape(try #require(one.outputs["pooled"])) == [2, 8, 4, 4])
        for other in [
            try merged(relu: false), try merged(residual: true), try merged(isRead: true),
            try merged(asked: false),
        ] {
            #expect(normalizations(other).map(\.maxPool) == [nil])
            #expect(count(other, pool) == 1)
        }
    }

    /// The stem for large images alone has one; folding for use after training comes before it.
    @Test(arguments: [("resnet50", 1), ("densenet121", 1), ("resnet18-cifar", 0)])
    func stemsArePooledAsTheyAreNormalized(_ name: String, _ expected: Int) throws {
        let options = Program.Options(block: 16)
        func merged(_ program: Program) -> Int {
            normalizations(program.graph).count { $0.maxPool != nil }
        }
        let model = try Models.named(name)
        let training = try Program(
            model.lossGraph(batch: 2), differentiate: true, options: options)
        #expect(merged(training) == expected)
        let gradients = training.graph.nodes.count { node in
            if case .batchNormGradient(let n, _) = node.op { n.maxPool != nil } else { false }
        }
        #expect(gradients == expected)
        var apart = options
        apart.fusesPooling = false
        let separate = try Program(
            model.lossGraph(batch: 2), differentiate: true, options: apart)
        #expect(merged(separate) == 0)
        let use = try Program(
            model.graph(batch: 2, mode: .inference), differentiate: false, options: options)
        #expect(merged(use) == 0 && normalizations(use.graph).isEmpty == (name != "densenet121"))
    }

    @Test(arguments: Models.names) func modelsKeepNoRectifierButOnesNormalized(name: String) throws
    {
        for mode in [GraphBuilder.Mode.training, .inference] {
            let plain = try Models.named(name).graph(batch: 2, mode: mode)
            let fused = NormalizationFusion()(plain)
            try fused.verify()
            #expect(count(fused, .activation(.relu)) == 0)
            // Stochastic depth acts before its sum, after the normalization.
            let sums = plain.nodes.filter {
                if case .stochasticDepth = $0.op { true } else { false }
            }
            #expect(count(fused, .add) == sums.count)
            // What is left of activations follows something else than a normalization.
            let left = fused.nodes.filter(isActivation)
            let normalized = Set(
                fused.nodes.filter { $0.op.isNormalization }.map { $0.outputs[0] })
            #expect(left.allSatisfy { !normalized.contains($0.inputs[0]) })
            let activations = plain.nodes.count(where: isActivation) - left.count
            let merged = activations + count(plain, .add) - sums.count
            #expect(fused.nodes.count == plain.nodes.count - merged)
        }
    }

    /// Those whose derivative is found again from what the gradient reads anyway.
    @Test(arguments: ActivationFunction.all) func someActivationsAreAbsorbed(
        _ function: ActivationFunction
    ) throws {
        let isAbsorbed = [.relu, .relu6, .silu].contains(function)
        let plain = try graph {
            BatchNorm("a")
            Activation(function)
        }
        let fused = NormalizationFusion()(plain)
        try fused.verify()
        #expect((fused == plain) == !isAbsorbed)
        #expect(normalizations(fused).map(\.activation) == [isAbsorbed ? function : nil])
        // After a sum only that of the rectifier.
        let sum = NormalizationFusion()(
            try graph {
                Residual { BatchNorm("a") }
                Activation(function)
            })
        try sum.verify()
        #expect(
            normalizations(sum) == [
                Normalization(
                    epsilon: 1e-5, addsResidual: true,
                    activation: function == .relu ? .relu : nil)
            ])
    }

    @Test func theOrderOfOperationsIsKept() throws {
        // relu(bn(x)) + x: the sum comes after the rectifier and stays.
        let fused = NormalizationFusion()(
            try graph {
                Residual {
                    BatchNorm("a")
                    Activation(.relu)
                }
            })
        try fused.verify()
        #expect(count(fused, .add) == 1)
        #expect(normalizations(fused) == [Normalization(epsilon: 1e-5, activation: .relu)])
    }

    @Test func valuesReadElsewhereStay() throws {
        let shared = try graph {
            BatchNorm("a")
            Concatenate {
                Activation(.relu)
                Identity()
            }
        }
        #expect(NormalizationFusion()(shared) == shared)
        let residual = try graph {
            BatchNorm("a")
            Residual { Convolution("c", 8, kernel: 3) }
        }
        #expect(NormalizationFusion()(residual) == residual)
    }

    @Test func outputsStay() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", [2, 8, 4, 4])
        let y = try builder.batchNorm(x, BatchNorm(), path: "bn")
        let z = try builder.append(.activation(.relu), [y], path: "relu")[0]
        builder.output("normalized", y)
        builder.output("logits", z)
        #expect(NormalizationFusion()(builder.graph) == builder.graph)
    }

    @Test func aValueAddedToItselfStays() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", [2, 8, 4, 4])
        let y = try builder.batchNorm(x, BatchNorm(), path: "bn")
        let z = try builder.append(.add, [y, y], path: "twice")[0]
        builder.output("logits", z)
        #expect(NormalizationFusion()(builder.graph) == builder.graph)
    }

    @Test func aSecondSumStays() throws {
        var builder = GraphBuilder(mode: .inference)
        let x = builder.input("images", [2, 8, 4, 4])
        let y = try builder.batchNorm(x, BatchNorm(), path: "bn")
        let once = try builder.append(.add, [x, y], path: "once")[0]
        let twice = try builder.append(.add, [once, x], path: "twice")[0]
        builder.output("logits", twice)
        let fused = NormalizationFusion()(builder.graph)
        try fused.verify()
        #expect(count(fused, .add) == 1)
        #expect(normalizations(fused).map(\.addsResidual) == [true])
    }

    /// A residual that itself needs the batch's statistics cannot join the node that makes them.
    @Test func statisticsReadBeforeTheSumStopFusion() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", [2, 8, 4, 4])
        let gamma = try builder.parameter("g", [8], .constant(1), role: .scale)
        let beta = try builder.parameter("b", [8], .constant(0), role: .shift)
        let norm = try builder.append(
            .batchNorm(Normalization(epsilon: 1e-5)), [x, gamma, beta], path: "bn")
        let features = builder.input("features", [2, 8])
        let shifted = try builder.append(.addBias, [features, norm[1]], path: "shift")[0]
        let scales = try builder.append(.unflatten([2, 8, 1, 1]), [shifted], path: "s")[0]
        let scaled = try builder.append(.scaleChannels, [x, scales], path: "scale")[0]
        let sum = try builder.append(.add, [norm[0], scaled], path: "sum")[0]
        builder.output("logits", sum)
        try builder.graph.verify()
        try NormalizationFusion()(builder.graph).verify()
        #expect(throws: Never.self) {
            try Program(builder.graph, differentiate: false, options: .init(block: 8))
        }
    }

    @Test func gradientsOfMergedNodesAreMerged() throws {
        let network = try Models.named("resnet20-cifar")
        let fused = NormalizationFusion()(try network.lossGraph(batch: 2))
        let training = try fused.differentiated()
        #expect(!training.nodes.contains { $0.op == .activationGradient(.relu) })
        let merged = training.nodes.filter { node in
            if case .batchNormGradient(let n, _) = node.op { n.addsResidual } else { false }
        }
        #expect(merged.count == 9)
        #expect(merged.allSatisfy { $0.inputs.count == 6 && $0.outputs.count == 4 })
    }

    @Test func convolutionsAbsorbNormalizations() throws {
        let plain = try graph(mode: .inference) {
            Residual {
                Convolution("a", 8, kernel: 3)
                BatchNorm("b")
                Activation(.relu)
                Convolution("c", 8, kernel: 3)
                BatchNorm("d")
            }
            Activation(.relu)
        }
        let folded = ConvolutionFusion()(NormalizationFusion()(plain))
        try folded.verify()
        #expect(folded.outputs == plain.outputs)
        #expect(normalizations(folded).isEmpty)
        let merged = folded.nodes.compactMap { node -> Normalization? in
            guard case .normalizedConvolution(_, _, let n) = node.op else { return nil }
            return n
        }
        #expect(merged.map(\.addsResidual) == [false, true])
        #expect(merged.map(\.activation) == [.relu, .relu])
    }

    @Test func convolutionsReadElsewhereStay() throws {
        var builder = GraphBuilder(mode: .inference)
        let x = builder.input("x", [2, 8, 8, 8])
        let y = try builder.convolution(x, Convolution(8, kernel: 3), path: "a")
        builder.output("y", y)
        let z = try builder.batchNorm(y, BatchNorm(), path: "b")
        builder.output("z", z)
        // A normalization whose residual is the convolution itself.
        let u = try builder.convolution(x, Convolution(8, kernel: 3), path: "c")
        let v = try builder.batchNorm(u, BatchNorm(), path: "d")
        builder.output("w", try builder.append(.add, [v, u], path: "e")[0])
        let folded = ConvolutionFusion()(NormalizationFusion()(builder.graph))
        try folded.verify()
        #expect(normalizations(folded).count == 2)
    }
}

private func isActivation(_ node: Node) -> Bool {
    if case .activation = node.op { true } else { false }
}

extension Op {
    fileprivate var isNormalization: Bool {
        switch self {
        case .batchNorm, .normalize: true
        default: false
        }
    }
}
