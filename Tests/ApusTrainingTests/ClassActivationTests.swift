import ApusData
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Testing

@Suite struct ClassActivationTests {
    private func store(_ network: Network, seed: UInt64 = 1) throws -> ParameterStore {
        let store = ParameterStore(try network.graph(batch: 1, mode: .inference), seed: seed)
        // Statistics and shifts that are not those of a network nobody trained.
        for name in store.names where name.hasSuffix("running_mean") || name.hasSuffix("bias") {
            let shape = try #require(store.shape(name))
            let key = RandomKey(seed: seed).child(name)
            try store.set(
                name, Tensor(shape, (0..<shape.count).map { key.uniform(at: $0) - 0.5 }))
        }
        return store
    }

    private func image(_ network: Network, seed: UInt64 = 2) -> [Float] {
        let key = RandomKey(seed: seed)
        return (0..<network.input.count).map { 2 * key.uniform(at: $0) - 1 }
    }

    /// Every value of the graph in 64 bits.
    private func reference(
        _ graph: Graph, _ store: ParameterStore, _ image: [Float]
    ) throws -> [ValueID: [Double]] {
        var sources: [ValueID: [Double]] = [:]
        for p in graph.parameters {
            sources[p.value] = try #require(store.tensor(p.name)).elements.map(Double.init)
        }
        for b in graph.buffers {
            sources[b.value] = try #require(store.tensor(b.name)).elements.map(Double.init)
        }
        sources[try #require(graph.inputs["images"])] = image.map(Double.init)
        return ReferenceExecutor(graph).run(sources)
    }

    private func pooled(_ channels: Int) -> Network {
        Network("pooled", input: [3, 12, 10]) {
            Convolution("conv1", 8, kernel: 3)
            BatchNorm("bn1")
            Activation(.silu)
            Sequence("layer1") {
                Convolution("conv2", channels, kernel: 3, stride: 2)
                BatchNorm("bn2")
                Activation(.relu)
            }
            GlobalAveragePool()
            Flatten()
            Sequence("classifier") {
                Dropout(0.3)
                Dense(5)
            }
        }
    }

    @Test(arguments: [7, 16]) func mapsAreTheWeightedSumsOfFeatures(channels: Int) throws {
        let network = pooled(channels)
        let store = try store(network)
        let activation = try ClassActivation(network, parameters: store, configuration: .direct)
        #expect(activation.method == .classActivationMap && activation.layer == "layer1")
        let image = image(network)
        let graph = try network.features(at: ["layer1", "logits"])
        let values = try reference(graph, store, image)
        let features = try #require(graph.outputs["layer1"].flatMap { values[$0] })
        let logits = try #require(graph.outputs["logits"].flatMap { values[$0] })
        let weights = try #require(store.tensor("classifier.1.weight"))
        let bias = try #require(store.tensor("classifier.1.bias"))
        let pixels = 6 * 5
        for label in 0..<5 {
            let result = activation.map(image, label: label)
            #expect((result.map.height, result.map.width) == (6, 5))
            for pixel in 0..<pixels {
                let expected = (0..<channels).reduce(0.0) {
                    $0 + Double(weights.elements[label * channels + $1])
                        * features[$1 * pixels + pixel]
                }
                #expect(abs(Double(result.map.values[pixel]) - expected) < 1e-5)
            }
            // The mean of the map and the bias are the logit: nothing is missing.
            let mean = result.map.values.reduce(0, +) / Float(pixels) + bias.elements[label]
            #expect(abs(Double(mean) - logits[label]) < 1e-5)
        }
        let best = logits.indices.max { logits[$0] < logits[$1] }
        #expect(activation.map(image).label == best)
    }

    /// For networks that end in global pooling both are one map, up to the number of pixels.
    @Test(arguments: [
        "resnet20-cifar", "densenet-bc40-k8-cifar", "efficientnet-b0-cifar", "plain20-cifar",
        "resnet18-cifar",
    ])
    func gradientsGiveTheSameMapOnTheLastLayer(name: String) throws {
        let network = try Models.named(name)
        let store = try store(network)
        let plain = try ClassActivation(network, parameters: store, configuration: .direct)
        let gradient = try ClassActivation(
            network, parameters: store, method: .gradCAM, configuration: .direct)
        #expect(plain.layer == gradient.layer)
        for seed in [2, 3] as [UInt64] {
            let image = image(network, seed: seed)
            for label in [nil, 0, 7] {
                let a = plain.map(image, label: label)
                let b = gradient.map(image, label: label)
                #expect(a.label == b.label)
                let pixels = Float(a.map.values.count)
                let largest = a.map.values.map(abs).max() ?? 0
                #expect(pixels > 1 && largest > 0)
                for (x, y) in zip(a.map.values, b.map.values) {
                    #expect(abs(max(x, 0) - pixels * y) < 1e-4 * largest)
                }
            }
        }
    }

    /// The gradients in the middle of a network against differences of the reference.
    @Test(arguments: ["layer1.0", "layer2", "conv1"]) func gradientsReachAnyLayer(
        layer: String
    ) throws {
        let network = try Models.named("resnet8-cifar", input: [3, 8, 8], classes: 4)
        let store = try store(network)
        let image = image(network)
        let graph = try network.features(at: [layer, "logits"]).backpropagated(to: [layer])
        let session = try Session(graph, parameters: store, configuration: .direct)
        session.setInput("images", image)
        session.setInput("seed", [0, 0, 1, 0] as [Float])
        session.run()
        var expected = Dictionary<ValueID, [Double]>()
        var sources: [ValueID: [Double]] = [:]
        for p in graph.parameters {
            sources[p.value] = try #require(store.tensor(p.name)).elements.map(Double.init)
        }
        for b in graph.buffers {
            sources[b.value] = try #require(store.tensor(b.name)).elements.map(Double.init)
        }
        sources[try #require(graph.inputs["images"])] = image.map(Double.init)
        sources[try #require(graph.inputs["seed"])] = [0, 0, 1, 0]
        expected = ReferenceExecutor(graph).run(sources)
        let own = session.output("gradient " + layer)
        let other = try #require(
            graph.outputs["gradient " + layer].flatMap { expected[$0] })
        #expect(own.shape.rank == 4 && own.elements.contains { $0 != 0 })
        let largest = other.map(abs).max() ?? 0
        for (a, b) in zip(own.elements, other) {
            #expect(abs(Double(a) - b) < 1e-5 * largest)
        }
        #expect(session.output(layer).elements.count == own.elements.count)
    }

    @Test func networksWithoutPoolingUseGradients() throws {
        let network = tinyNetwork()
        let activation = try ClassActivation(
            network, parameters: try store(network), configuration: .direct)
        #expect(activation.method == .gradCAM)
        // The rectifier behind the block, by its position.
        #expect(activation.layer == "5")
        #expect(activation.map(image(network)).map.values.count == 36)
        let text = message {
            _ = try ClassActivation(
                network, parameters: store(network), method: .classActivationMap)
        }
        #expect(text.contains("no class activation maps of 5") && text.contains("use Grad-CAM"))
        let unknown = message {
            _ = try ClassActivation(network, parameters: store(network), layer: "nowhere")
        }
        #expect(unknown.contains("layer nowhere: is not in tiny"))
        let features = message {
            _ = try ClassActivation(network, parameters: store(network), layer: "dense")
        }
        #expect(features.contains("dense of tiny does not make images"))
    }

    @Test(.enabled(if: Machine.hasBFloat16)) func brainFloatsGiveNearlyTheSameMap() throws {
        let network = pooled(16)
        let store = try store(network)
        var configuration = Session.Configuration.direct
        configuration.precision = .bf16
        let short = try ClassActivation(network, parameters: store, configuration: configuration)
        let full = try ClassActivation(network, parameters: store, configuration: .direct)
        let image = image(network)
        let a = short.map(image, label: 1).map.values
        let b = full.map(image, label: 1).map.values
        let largest = b.map(abs).max() ?? 0
        #expect(a != b)
        for (x, y) in zip(a, b) { #expect(abs(x - y) < 0.03 * largest) }
    }
}
