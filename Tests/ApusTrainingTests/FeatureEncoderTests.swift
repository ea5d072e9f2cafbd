import ApusData
import ApusFiles
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// An encoder of 32 features with batch norm, eight for each corner of 12x12 gray images.
func tinyEncoder() -> Network {
    Network("tiny-encoder", input: [1, 12, 12]) {
        Convolution("conv", 8, kernel: 3)
        BatchNorm("norm")
        Activation(.relu)
        MaxPool(kernel: 6)
        Flatten()
    }
}

/// Writes what `apus pretrain` leaves behind, with weights drawn by `seed`.
func writePretraining(_ folder: RunFolder, seed: UInt64 = 1) throws {
    let head = Network("head", input: [32, 1, 1]) {
        Dense("0", 6)
        Activation(.relu)
        Dense("2", 4)
    }
    var builder = GraphBuilder(mode: .inference)
    let images = builder.input("images", [1, 1, 12, 12])
    let features = try builder.append(tinyEncoder().layers, to: images)
    _ = try builder.append(head.layers, to: features, path: "head")
    let store = ParameterStore(builder.graph, seed: seed)
    let preprocessing = Preprocessing(channels: 1, mean: [0.4], deviation: [0.2])
    func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
    try FileManager.default.createDirectory(
        atPath: folder.path + "/checkpoints", withIntermediateDirectories: true)
    try Safetensors.write(
        tensors: store.tensors() + [("optimizer.momentum", Tensor([1], [3]))],
        metadata: [
            "apus.pretraining": """
            {"encoder": \(try json(tinyEncoder())), "head": \(try json(head)), "method": "simclr",
             "preprocessing": \(try json(preprocessing)), "data": "squares"}
            """
        ], to: folder.checkpointPath)
}

@Suite struct FeatureEncoderTests {
    @Test func opensAPretrainingRun() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        try writePretraining(folder)
        let encoder = try FeatureEncoder(folder.path)
        #expect(encoder.origin == .pretrained && encoder.data == "squares")
        #expect(try FeatureEncoder.describesItself(folder.path))
        let images = Tensor([3, 1, 12, 12], (0..<432).map { Float($0 % 17) / 17 })
        let h = try FeatureExtractor(encoder, batch: 4, configuration: .direct).features(images)
        #expect(h.shape == [3, 32])
        let z = try FeatureExtractor(
            encoder, layer: .projection, batch: 3, configuration: .direct
        ).features(images)
        #expect(z.shape == [3, 4])
        // The projection is the head of the representation, here computed from its definition.
        func dense(_ x: [Float], _ name: String) throws -> [Float] {
            let w = try #require(encoder.parameters.tensor("head.\(name).weight"))
            let b = try #require(encoder.parameters.tensor("head.\(name).bias"))
            return (0..<w.shape[0]).map { k in
                x.indices.reduce(b.elements[k]) { $0 + w.elements[k * x.count + $1] * x[$1] }
            }
        }
        let first = try dense(dense(Array(h.elements[..<32]), "0").map { max($0, 0) }, "2")
        for (a, b) in zip(first, z.elements) { #expect(abs(a - b) < 1e-5) }
    }

    @Test func opensAClassifierWithoutItsLastLayer() throws {
        let temporary = try TemporaryFolder()
        var recipe = tinyRecipe()
        recipe.epochs = 1
        let trainer = try Trainer(
            recipe, folder: temporary.run("run"), train: Squares(count: 64), test: nil,
            configuration: .direct)
        _ = try trainer.run()
        let encoder = try FeatureEncoder(temporary.run("run").path)
        #expect(encoder.origin == .supervised && encoder.augmentation == recipe.augmentation)
        let source = Squares(count: 10)
        let extractor = try FeatureExtractor(encoder, batch: 4, configuration: .direct)
        let features = try extractor.features(of: source)
        #expect(features.count == 10 && features.labels == (0..<10).map { Int32($0 % 3) })
        // The classifier on these features is the network.
        let model = try TrainedModel(temporary.run("run").path)
        let classifier = try Classifier(model, batch: 4, configuration: .direct)
        let weight = try #require(model.parameters.tensor("dense.weight"))
        let bias = try #require(model.parameters.tensor("dense.bias"))
        let image = try classifier.prepare(source.image(at: 7), name: "7")
        let width = features.width
        let scores = (0..<3).map { k in
            (0..<width).reduce(Double(bias.elements[k])) {
                $0 + Double(weight.elements[k * width + $1])
                    * Double(features.features.elements[7 * width + $1])
            }
        }
        let sum = scores.reduce(0) { $0 + exp($1) }
        for (score, probability) in zip(scores, classifier.probabilities([image])[0]) {
            #expect(abs(exp(score) / sum - Double(probability)) < 1e-5)
        }
        #expect(
            message { _ = try FeatureExtractor(encoder, layer: .projection, batch: 1) }
                .contains("no projection head"))
    }

    @Test func theFingerprintSeesWeightsAndStatistics() throws {
        let temporary = try TemporaryFolder()
        try writePretraining(temporary.run("a"))
        try writePretraining(temporary.run("b"))
        let encoder = try FeatureEncoder(temporary.run("a").path)
        let fingerprint = encoder.parameters.fingerprint
        #expect(try FeatureEncoder(temporary.run("b").path).parameters.fingerprint == fingerprint)
        #expect(try encoder.redrawn(seed: 5).parameters.fingerprint != fingerprint)
        for name in ["norm.running_mean", "norm.running_var", "conv.weight"] {
            let text = message {
                try encoder.whileFrozen {
                    var tensor = try #require(encoder.parameters.tensor(name))
                    tensor.elements[3] += 1e-6
                    try encoder.parameters.set(name, tensor)
                }
            }
            #expect(text.contains("changed during a frozen probe"), "\(name)")
        }
        #expect(try encoder.whileFrozen { 7 } == 7)
    }

    @Test func readsBareWeightsWithAClassifierOrWithoutIt() throws {
        let temporary = try TemporaryFolder()
        let graph = try Models.named("resnet20-cifar").graph(batch: 1, mode: .inference)
        let all = ParameterStore(graph, seed: 3).tensors()
        func write(_ file: String, _ tensors: [(name: String, tensor: Tensor)]) throws -> String {
            let path = temporary.run(file + ".safetensors").path
            try Safetensors.write(tensors: tensors, metadata: [:], to: path)
            return path
        }
        let without = all.filter { !$0.name.hasPrefix("linear.") }
        #expect(without.count < all.count)
        let description = TrainedModel.Description(model: "resnet20-cifar")
        let whole = try FeatureEncoder(weights: write("whole", all), description)
        let bare = try FeatureEncoder(weights: write("bare", without), description)
        #expect(bare.origin == .weights && bare.network.name == "resnet20-cifar-encoder")
        #expect(bare.parameters.fingerprint == whole.parameters.fingerprint)
        let first = try #require(bare.parameters.names.first)
        #expect(
            bare.parameters.tensor(first)?.elements
                == all.first { $0.name == first }?.tensor.elements)

        let path = try write("short", without.filter { $0.name != first })
        #expect(
            message { _ = try FeatureEncoder(weights: path, description) }
                .contains("has no '\(first)'"))
        let other = try write("other", without + [("stranger.weight", Tensor([1], [3]))])
        #expect(
            message { _ = try FeatureEncoder(weights: other, description) }
                .contains("'stranger.weight'"))
    }

    @Test func refusesDamagedRuns() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        #expect(message { _ = try FeatureEncoder(folder.path) }.contains("does not exist"))
        try writePretraining(folder)
        let file = try Safetensors.read(folder.checkpointPath)
        func rewrite(
            without: String = "", _ metadata: [String: String]? = nil
        ) throws {
            try Safetensors.write(
                tensors: file.tensors.filter { $0.name != without }.map {
                    ($0.name, $0.tensor.tensor())
                },
                metadata: metadata ?? file.metadata, to: folder.checkpointPath)
        }
        try rewrite(without: "head.2.bias")
        #expect(message { _ = try FeatureEncoder(folder.path) }.contains("has no 'head.2.bias'"))
        try rewrite(["apus.pretraining": "{}"])
        #expect(message { _ = try FeatureEncoder(folder.path) }.contains("cannot read"))
        try rewrite([:])
        #expect(message { _ = try FeatureEncoder(folder.path) }.contains("--model"))
    }
}
