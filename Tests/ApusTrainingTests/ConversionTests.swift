import ApusData
import ApusFiles
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct ConversionTests {
    private func model() throws -> TrainedModel {
        let network = try Models.named("resnet8-cifar", classes: 3)
        let store = ParameterStore(try network.graph(batch: 1, mode: .inference), seed: 5)
        return TrainedModel(
            network: network, parameters: store,
            preprocessing: .tensorFlowLite(resize: 40, crop: 32), classNames: ["a", "b", "c"])
    }

    @Test func convertedFilesDescribeThemselves() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.safetensors"
        let model = try model()
        try model.writeSafetensors(to: path)
        #expect(try TrainedModel.describesItself(path))
        let read = try TrainedModel(path)
        #expect(read.network == model.network && read.preprocessing == model.preprocessing)
        #expect(read.classNames == ["a", "b", "c"] && read.recipe == nil)
        for name in model.parameters.names {
            #expect(read.parameters.tensor(name) == model.parameters.tensor(name))
        }
        #expect(try TrainedModel.parity(of: path, model: nil).isExact)
        // The same bytes again.
        try model.writeSafetensors(to: folder.path + "/again.safetensors")
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: path))
                == Data(contentsOf: URL(fileURLWithPath: folder.path + "/again.safetensors")))
    }

    /// Without them torchvision refuses to load strictly.
    @Test func everyNormalizationCountsBatches() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.safetensors"
        try model().writeSafetensors(to: path)
        let file = try Safetensors.read(path)
        #expect(file.metadata["format"] == "pt")
        let means = file.names.filter { $0.hasSuffix(".running_mean") }
        #expect(means.count == 7)
        for name in means {
            let counter = file[name.dropLast("running_mean".count) + "num_batches_tracked"]
            #expect(counter?.dataType == .int64 && counter?.shape == [])
            #expect(counter?.integers() == [0])
        }
        #expect(file.names.count == means.count + (try model().parameters.names.count))
    }

    @Test func descriptionsThatDoNotFitAreErrors() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.safetensors"
        let model = try model()
        let tensors = model.parameters.tensors()
        func write(_ change: (inout ModelDescription) -> Void) throws {
            var description = model.description
            change(&description)
            let json = try JSONEncoder().encode(description)
            try Safetensors.write(
                tensors: tensors,
                metadata: [ModelDescription.key: String(decoding: json, as: UTF8.self)], to: path)
        }
        try write { _ in }
        _ = try TrainedModel(path)
        try write { $0.classNames.removeLast() }
        #expect(throws: TrainingError.self) { try TrainedModel(path) }
        try write { $0.preprocessing.deviation[0] = 0 }
        #expect(throws: TrainingError.self) { try TrainedModel(path) }
        try write { $0.network.input = [1, 32, 32] }
        #expect(throws: TrainingError.self) { try TrainedModel(path) }
        try write { $0.network.layers.removeAll() }
        #expect(throws: TrainingError.self) { try TrainedModel(path) }
        // A network far larger than the file takes no memory, and no number overflows.
        for channels in [1 << 40, Int.max / 2, Int.max] {
            try write { $0.network.layers.insert(Convolution(channels, kernel: 3).layer, at: 0) }
            #expect(throws: TrainingError.self) { try TrainedModel(path) }
            for layer in [
                Convolution(4, kernel: channels).layer, Dense(channels).layer,
                Convolution(4, kernel: 3, stride: channels).layer,
                Convolution(4, kernel: 3, padding: .explicit(0), dilation: channels).layer,
                Convolution(4, kernel: 3, padding: .explicit(channels)).layer,
                SubsamplePad(channels, stride: channels).layer,
                SubsamplePad(-channels - 1, stride: 1).layer,
                MaxPool(kernel: channels, padding: .same).layer,
            ] {
                try write { $0.network.layers.insert(layer, at: 0) }
                #expect(throws: TrainingError.self) { try TrainedModel(path) }
            }
            try write { $0.network.input = [3, channels, channels] }
            #expect(throws: TrainingError.self) { try TrainedModel(path) }
        }
        // Eighty concatenations double the channels again and again.
        try write { description in
            let double = Concatenate {
                Identity()
                Identity()
            }
            for _ in 0..<80 { description.network.layers.insert(double.layer, at: 0) }
        }
        #expect(throws: TrainingError.self) { try TrainedModel(path) }
        try Safetensors.write(
            tensors: tensors, metadata: [ModelDescription.key: "{"], to: path)
        #expect(throws: TrainingError.self) { try TrainedModel(path) }
    }

    @Test func importsThatFailNameTheWorstAndTheReport() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.safetensors"
        try Safetensors.write(tensors: try model().parameters.tensors(), to: path)
        #expect {
            _ = try TrainedModel(weights: path, .init(model: "resnet14-cifar"))
        } throws: { error in
            let text = "\(error)"
            return text.contains("has no 'layer1.1.conv1.weight' (16x16x3x3)")
                && text.contains("--report --model resnet14-cifar") && !text.contains("\n")
        }
    }

    @Test func labelsAreInTheUsualOrder() {
        #expect(ImageNet.labels.count == 1000 && Set(ImageNet.labels).count == 1000)
        for (index, label) in [
            (0, "tench"), (282, "tiger cat"), (657, "missile"), (698, "palace"),
            (967, "espresso"), (985, "daisy"), (999, "toilet tissue"),
        ] {
            #expect(ImageNet.labels[index] == label)
        }
    }

    /// (v - 127) / 128 on samples of 0...255.
    @Test func theRegistrySaysHowImagesArePrepared() throws {
        let weights = try #require(PretrainedWeights.named("efficientnet_lite0"))
        let preprocessing = weights.preprocessing
        try preprocessing.validate()
        #expect(preprocessing.resize == .shortSide(256) && preprocessing.crop == ImageSize(224))
        #expect(preprocessing.interpolation == .bicubicBytes)
        for sample in [Float(0), 127, 255] {
            let value = (sample / 255 - preprocessing.mean[0]) / preprocessing.deviation[0]
            #expect(abs(value - (sample - 127) / 128) < 1e-6)
        }
        #expect(weights.classNames == ImageNet.labels && weights.sha256.count == 64)
        #expect(PretrainedWeights.named("efficientnet-lite9") == nil)
        #expect(Set(PretrainedWeights.all.map(\.name)).count == PretrainedWeights.all.count)
    }
}
