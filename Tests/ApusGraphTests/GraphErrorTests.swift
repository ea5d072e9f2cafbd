import ApusGraph
import ApusTensor
import Testing

/// Every mistake is a `GraphError` that names the layer and the shapes.
@Suite struct GraphErrorTests {
    private func error(
        input: Shape = [8, 9, 7], batch: Int = 2, mode: GraphBuilder.Mode = .training,
        @LayerBuilder _ layers: () -> [Layer]
    ) throws -> GraphError {
        let network = Network("n", input: input, layers)
        return try #require(throws: GraphError.self) {
            try network.graph(batch: batch, mode: mode)
        }
    }

    @Test func residualsMustAgree() throws {
        let error = try error {
            Sequence("layer1") {
                Residual("0") { Convolution(16, kernel: 3, stride: 2) }
            }
        }
        #expect(error.path == "layer1.0")
        #expect(error.shapes == [[2, 16, 5, 4], [2, 8, 9, 7]])
        #expect(
            error.description
                == "layer layer1.0: the body and the shortcut of the residual differ "
                + "(2x16x5x4 and 2x8x9x7)")
    }

    @Test func denseNeedsFeatures() throws {
        let error = try error { Dense("fc", 10) }
        #expect(error.path == "fc")
        #expect(error.shapes == [[2, 8, 9, 7]])
        #expect(error.problem.contains("flatten or pool first"))
    }

    @Test func imageLayersNeedImages() throws {
        let layers: [Layer] = [
            Convolution("l", 4, kernel: 1).layer,
            Sequence("l") { MaxPool(kernel: 2) }.layer,
            Sequence("l") { AveragePool(kernel: 2, padding: .same) }.layer,
            Sequence("l") { GlobalAveragePool() }.layer,
            Sequence("l") { SubsamplePad(4, stride: 2) }.layer,
            Sequence("l") { Concatenate { Identity() } }.layer,
            Scale("l") { Identity() }.layer,
        ]
        for layer in layers {
            let error = try error {
                Flatten()
                layer
            }
            #expect(error.path.hasPrefix("l"), "\(layer)")
            #expect(error.shapes.first == [2, 504], "\(layer)")
            #expect(error.problem == "expects images [batch, channels, height, width]", "\(layer)")
        }
    }

    /// Features are images of one pixel to a batch norm, and flat already.
    @Test func featuresAreNormalizedAndStayFlat() throws {
        let network = Network("n", input: [8, 9, 7]) {
            Flatten()
            BatchNorm("norm")
            Flatten()
        }
        let graph = try network.graph(batch: 2, mode: .training)
        let output = try #require(graph.outputs["logits"])
        #expect(graph.shape(output) == [2, 504])
        #expect(graph.buffers.map(\.name) == ["norm.running_mean", "norm.running_var"])
    }

    @Test(arguments: [(12, 5), (12, 8), (9, 4), (12, 0), (0, 1), (12, -4)])
    func groupsMustDivide(channels: Int, groups: Int) throws {
        let error = try error { Convolution("conv", channels, kernel: 3, groups: groups) }
        #expect(error.path == "conv")
        #expect(error.shapes == [[2, 8, 9, 7]])
        #expect(error.problem.contains("\(groups) groups"))
    }

    @Test func windowsMustFit() throws {
        let large = try error {
            Sequence("stem") { Convolution("conv1", 4, kernel: 11, padding: .explicit(1)) }
        }
        #expect(large.path == "stem.conv1")
        #expect(large.shapes == [[2, 8, 9, 7], [4, 8, 11, 11]])
        #expect(large.problem.contains("11x11 does not fit into 9x7 pixels"))
        let pool = try error {
            MaxPool(kernel: 2)
            MaxPool(kernel: 4)
        }
        #expect(pool.path == "1")
        #expect(pool.shapes == [[2, 8, 4, 3]])
        let padded = try error { MaxPool(kernel: 2, padding: .explicit(2)) }
        #expect(padded.problem == "padding must be smaller than the window")
    }

    /// What a damaged or handwritten description can hold must not trap.
    @Test func sizesMustBePositive() throws {
        let layers: [Layer] = [
            Convolution("l", 4, kernel: 3, stride: 0).layer,
            Convolution("l", 4, kernel: 3, stride: 0, padding: .same).layer,
            Convolution("l", 4, kernel: 0).layer,
            Convolution("l", 4, kernel: -3).layer,
            Convolution("l", 4, kernel: 3, padding: .explicit(-1)).layer,
            Convolution("l", 4, kernel: 3, dilation: 0).layer,
            Convolution("l", -4, kernel: 3).layer,
            Sequence("l") { MaxPool(kernel: 2, stride: 0, padding: .same) }.layer,
            Sequence("l") { MaxPool(kernel: -2) }.layer,
            Sequence("l") { AveragePool(kernel: 0) }.layer,
            Sequence("l") { SubsamplePad(8, stride: 0) }.layer,
            Sequence("l") { SubsamplePad(7, stride: 1) }.layer,
            Sequence("l") {
                GlobalAveragePool()
                Flatten()
                Dense("fc", 0)
            }.layer,
            Sequence("l") {
                GlobalAveragePool()
                Flatten()
                Dense("fc", -1)
            }.layer,
            Concatenate("l") {}.layer,
        ]
        for layer in layers {
            let error = try error { layer }
            #expect(error.path.hasPrefix("l"), "\(layer)")
        }
    }

    @Test func namesMustDiffer() throws {
        let parameters = try error {
            Convolution("conv", 4, kernel: 3)
            Convolution("conv", 4, kernel: 3)
        }
        #expect(parameters.path == "conv.weight")
        #expect(parameters.problem == "this name is used twice")
        // A name may repeat where it holds no parameters.
        let harmless = Network("n", input: [3, 4, 4]) {
            Sequence("a") { Activation(.relu) }
            Sequence("a") { Activation(.relu) }
        }
        #expect(throws: Never.self) { try harmless.graph(batch: 1, mode: .training) }
    }

    @Test(arguments: [-0.1, 1, 1.5, .infinity, .nan] as [Float])
    func ratesMustBeProbabilities(rate: Float) throws {
        for mode in [GraphBuilder.Mode.training, .inference] {
            let dropout = try error(mode: mode) { Dropout(rate) }
            #expect(dropout.path == "0")
            #expect(dropout.problem.contains("not in 0..<1"))
            let depth = try error(mode: mode) { Sequence("block") { StochasticDepth(rate) } }
            #expect(depth.path == "block.0")
        }
    }

    @Test func batchStatisticsNeedTwoValues() throws {
        let error = try error(input: [8, 1, 1], batch: 1) { BatchNorm("bn") }
        #expect(error.path == "bn")
        #expect(error.shapes == [[1, 8, 1, 1]])
        #expect(error.problem.contains("larger batch"))
        // The running statistics do not mind.
        let network = Network("n", input: [8, 1, 1]) { BatchNorm("bn") }
        #expect(throws: Never.self) { try network.graph(batch: 1, mode: .inference) }
    }

    @Test func branchesMustAlign() throws {
        let error = try error {
            Concatenate("mixed") {
                Identity()
                Convolution(4, kernel: 3, stride: 2)
            }
        }
        #expect(error.path == "mixed")
        #expect(error.shapes == [[2, 8, 9, 7], [2, 4, 5, 4]])
        let scale = try self.error { Scale("se") { Convolution(8, kernel: 1) } }
        #expect(scale.path == "se")
        #expect(scale.shapes == [[2, 8, 9, 7], [2, 8, 9, 7]])
    }

    @Test func networksNeedImagesAndLogits() throws {
        #expect(try error(input: [8, 9]) { Identity() }.path == "")
        #expect(try error(input: [8, 0, 9]) { Identity() }.shapes == [[8, 0, 9]])
        #expect(try error(batch: 0) { Identity() }.description.hasPrefix("the network: "))
        let images = Network("n", input: [3, 4, 4]) { Identity() }
        let error = try #require(throws: GraphError.self) { try images.lossGraph(batch: 1) }
        #expect(error.problem == "logits must be [batch, classes]")
        #expect(error.shapes == [[1, 3, 4, 4], [1]])
    }

    /// The builder is public: operations of the wrong arity are errors too.
    @Test func operationsCheckTheirOperands() throws {
        var builder = GraphBuilder(mode: .training)
        let x = builder.input("x", [2, 3])
        let y = builder.input("y", [4, 5])
        let image = builder.input("image", [2, 3, 4, 4])
        let window = Window(kernel: Size(1))
        let wrong: [(Op, [ValueID])] = [
            (.add, [x]), (.addBias, [x]), (.matmul(transposeA: false, transposeB: false), [x]),
            (.matmul(transposeA: false, transposeB: false), [x, y]), (.add, [x, y]),
            (.convolution(window, groups: 1), [image]), (.scaleChannels, [image]),
            (.scaleWeights, [image, image]),
            (.crossEntropy(smoothing: 0), [x]), (.activation(.relu), []), (.flatten, [image, x]),
            (.slice(start: 2, count: 2), [image]), (.slice(start: -1, count: 2), [image]),
            (.convolutionWeightGradient(window, groups: 0, bias: false), [image, image]),
            (.convolutionInputGradient(window, groups: 1, input: [2, 3, 4, 4]), [image]),
            (.batchNormGradient(Normalization(epsilon: 0), frozen: false), [image, image]),
            (.maxPoolGradient(window), [image]), (.unflatten([2, 1, 1, 3]), []),
            (.reorder(.plain), []), (.input, [x]), (.parameter, []),
        ]
        for (op, inputs) in wrong {
            let error = #expect(throws: GraphError.self, "\(op)") {
                try builder.append(op, inputs, path: "p")
            }
            #expect(error?.path == "p")
            #expect(error?.shapes == inputs.map { builder.shape($0) })
        }
    }
}
