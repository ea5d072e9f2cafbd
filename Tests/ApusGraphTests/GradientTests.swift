import ApusGraph
import ApusTensor
import Testing

@Suite struct GradientTests {
    private let network = Network("n", input: [3, 8, 8]) {
        Convolution("conv1", 8, kernel: 3, bias: true)
        BatchNorm("bn1")
        Activation(.silu)
        Residual("res") {
            Convolution("a", 8, kernel: 3)
            StochasticDepth(0.1)
        }
        Concatenate("cat") {
            Identity()
            Convolution("b", 4, kernel: 3)
        }
        Scale("se") {
            GlobalAveragePool()
            Convolution("c", 12, kernel: 1)
            Activation(.sigmoid)
        }
        MaxPool(kernel: 2)
        AveragePool(kernel: 2)
        SubsamplePad(16, stride: 1)
        Flatten()
        Dropout(0.1)
        Dense("fc", 10)
    }

    private func count(_ graph: Graph, where matches: (Op) -> Bool) -> Int {
        graph.nodes.filter { matches($0.op) }.count
    }

    @Test func everyParameterHasAGradientOfItsShape() throws {
        let graph = try network.lossGraph(batch: 2).differentiated()
        try graph.verify()
        #expect(Set(graph.gradients.keys) == Set(graph.parameters.map(\.name)))
        for parameter in graph.parameters {
            let gradient = try #require(graph.gradients[parameter.name])
            #expect(graph.shape(gradient) == parameter.shape, "\(parameter.name)")
        }
    }

    /// Nothing a parameter cannot influence is differentiated: the images above all.
    @Test func imagesGetNoGradient() throws {
        let graph = try network.lossGraph(batch: 2).differentiated()
        for node in graph.nodes where node.path == "conv1" {
            if case .convolutionInputGradient = node.op { Issue.record("\(node.op)") }
        }
        let others = ["res.a", "cat.b", "se.c"]
        for path in others {
            let inputGradients = graph.nodes.filter { node in
                if case .convolutionInputGradient = node.op { node.path == path } else { false }
            }
            #expect(inputGradients.count == 1, "\(path)")
        }
        // A dense first layer likewise: one product forward, one for the weights.
        let linear = try Network("n", input: [1, 4, 4]) {
            Flatten()
            Dense("fc", 3)
        }.lossGraph(batch: 2).differentiated()
        let products = count(linear) { if case .matmul = $0 { true } else { false } }
        #expect(products == 2)
        #expect(count(linear) { if case .unflatten = $0 { true } else { false } } == 0)
    }

    @Test func imagesAheadOfTheFirstParameterGetNoGradient() throws {
        let graph = try Network("n", input: [3, 8, 8]) {
            AveragePool(kernel: 2)
            Concatenate {
                Identity()
                MaxPool(kernel: 1)
            }
            MaxPool(kernel: 1)
            // Its gradient ends at the sum: the shortcut holds pixels only.
            Residual { Convolution("first", 6, kernel: 3) }
            Convolution("conv", 4, kernel: 3)
            GlobalAveragePool()
            Flatten()
        }.lossGraph(batch: 2).differentiated()
        for node in graph.nodes {
            switch node.op {
            case .averagePoolGradient, .maxPoolGradient, .slice:
                Issue.record("\(node.op)")
            case .convolutionInputGradient:
                #expect(node.path == "conv")
            default: break
            }
        }
    }

    @Test func sharedValuesAccumulate() throws {
        let plain = try Network("n", input: [3, 8, 8]) {
            Convolution("conv1", 4, kernel: 3)
            Convolution("conv2", 4, kernel: 3)
            GlobalAveragePool()
            Flatten()
        }.lossGraph(batch: 2).differentiated()
        #expect(count(plain) { $0 == .add } == 0)
        let residual = try Network("n", input: [3, 8, 8]) {
            Convolution("conv1", 4, kernel: 3)
            Residual { Convolution("conv2", 4, kernel: 3) }
            GlobalAveragePool()
            Flatten()
        }.lossGraph(batch: 2).differentiated()
        // One forward, one where the two ways back meet.
        #expect(count(residual) { $0 == .add } == 2)
    }

    @Test func aValueAddedToItselfCountsTwice() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("x", [2, 3])
        let y = try builder.dense(x, Dense(4), path: "fc")
        let doubled = try builder.append(.add, [y, y], path: "twice")[0]
        _ = try builder.crossEntropy(doubled)
        let graph = try builder.graph.differentiated()
        let sum = try #require(graph.nodes.last { $0.op == .add })
        #expect(sum.inputs[0] == sum.inputs[1])
        #expect(sum.path == "twice")
    }

    @Test func oneParameterReadTwiceHasOneGradient() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("x", [2, 4])
        let w = try builder.parameter("w", [4, 4], .lecunNormal, role: .weight)
        let op = Op.matmul(transposeA: false, transposeB: true)
        let h = try builder.append(op, [x, w], path: "first")[0]
        let y = try builder.append(op, [h, w], path: "second")[0]
        _ = try builder.crossEntropy(y)
        let graph = try builder.graph.differentiated()
        try graph.verify()
        let gradient = try #require(graph.gradients["w"])
        #expect(graph.nodes.first { $0.outputs.contains(gradient) }?.op == .add)
    }

    @Test(arguments: [(false, false), (false, true), (true, false), (true, true)])
    func productsOfEveryOrientation(transposeA: Bool, transposeB: Bool) throws {
        var builder = GraphBuilder(mode: .training)
        let a = try builder.parameter(
            "a", transposeA ? [3, 2] : [2, 3], .lecunNormal, role: .weight)
        let b = try builder.parameter(
            "b", transposeB ? [5, 3] : [3, 5], .lecunNormal, role: .weight)
        let op = Op.matmul(transposeA: transposeA, transposeB: transposeB)
        _ = try builder.crossEntropy(try builder.append(op, [a, b], path: "product")[0])
        let graph = try builder.graph.differentiated()
        for parameter in graph.parameters {
            let gradient = try #require(graph.gradients[parameter.name])
            #expect(graph.shape(gradient) == parameter.shape)
        }
    }

    @Test func errorsNameTheParameterOrTheLoss() throws {
        let noLoss = try network.graph(batch: 2, mode: .training)
        #expect(throws: GraphError.self) { try noLoss.differentiated() }

        var builder = GraphBuilder(mode: .training)
        let x = builder.input("x", [2, 3])
        _ = try builder.parameter("unused", [3], .constant(0), role: .bias)
        _ = try builder.crossEntropy(try builder.dense(x, Dense(4), path: "fc"))
        let error = try #require(throws: GraphError.self) { try builder.graph.differentiated() }
        #expect(error.path == "unused")
        #expect(error.shapes == [[3]])
        // Gradients have no gradients.
        let once = try network.lossGraph(batch: 2).differentiated()
        #expect(throws: GraphError.self) { try once.differentiated(loss: "logits") }
    }

    @Test func savedValuesAreTheOnesTheDerivativeNeeds() throws {
        for function in ActivationFunction.all {
            let graph = try Network("n", input: [3, 4, 4]) {
                Convolution("conv", 4, kernel: 1)
                Activation(function)
                GlobalAveragePool()
                Flatten()
            }.lossGraph(batch: 2).differentiated()
            let forward = try #require(graph.nodes.first { $0.op == .activation(function) })
            let backward = try #require(
                graph.nodes.first { $0.op == .activationGradient(function) })
            #expect(
                backward.inputs[1]
                    == (function.differentiatesFromOutput ? forward.outputs : forward.inputs)[0])
        }
    }
}
