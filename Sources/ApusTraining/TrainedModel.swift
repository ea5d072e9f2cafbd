import ApusData
import ApusFiles
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import Foundation

/// A network with its weights and all that is needed to use it on images.
public struct TrainedModel {
    public let network: Network
    public let parameters: ParameterStore
    public let preprocessing: Preprocessing
    public let classNames: [String]
    /// The run it is of; nil for a file that holds only weights.
    public let recipe: Recipe?

    /// What a file of bare weights does not say.
    public struct Description: Sendable {
        /// The network's name.
        public var model: String
        public var mean: [Float]?
        public var deviation: [Float]?
        /// Height and width of the input; nil for the data's, or the network's usual one.
        public var side: Int?
        public var classNames: [String]?
        /// What the images look like if all are alike.
        public var imageShape: ImageShape?

        public init(model: String) { self.model = model }
    }

    /// Whether `path` is a run folder or a checkpoint, which describe themselves.
    public static func describesItself(_ path: String) throws -> Bool {
        try open(path).file.metadata[Checkpoint.recipeKey] != nil
    }

    /// Opens a run folder or its checkpoint.
    public init(_ path: String) throws {
        let (file, path) = try TrainedModel.open(path)
        let recipe = try Checkpoint.recipe(file, path)
        let store = ParameterStore(
            try recipe.network.graph(batch: 1, mode: .inference), seed: recipe.seed)
        try Checkpoint.loadForUse(file, into: store, from: path)
        network = recipe.network
        preprocessing = recipe.preprocessing
        classNames = recipe.classNames
        parameters = store
        self.recipe = recipe
    }

    /// Opens a file of weights and nothing else. Its names must be exactly the network's.
    public init(weights path: String, _ description: Description) throws {
        let (file, path) = try TrainedModel.open(path)
        let usual = try Models.named(description.model)
        let graph = try usual.graph(batch: 1, mode: .inference)
        // The first weight knows the channels, the last one the classes.
        let weights = graph.parameters.filter { $0.role == .weight }
        let first = weights.first.flatMap { file[$0.name]?.shape }
        let last = weights.last.flatMap { file[$0.name]?.shape }
        let channels = first.map { $0.rank == 4 && $0[1] == 1 ? 1 : 3 } ?? usual.input[0]
        let names = description.classNames
        let outputs = last.flatMap { $0.rank == 2 ? $0[0] : nil }
        if let names, let outputs, names.count != outputs {
            throw TrainingError(
                "\(path) is of a network with \(outputs) classes, the data has \(names.count); "
                    + "choose other data or weights")
        }
        let classes = names?.count ?? outputs ?? 1000
        guard (1...1_000_000).contains(classes) else {
            throw TrainingError("\(path) is of a network with \(classes) classes; choose another")
        }
        func perChannel(_ values: [Float]?, _ usual: [Float]) -> [Float] {
            let values = values ?? (channels == 1 ? [usual.reduce(0, +) / 3] : usual)
            return values.count == 1 && channels == 3
                ? [Float](repeating: values[0], count: 3) : values
        }
        let imageNet = Preprocessing.imageNet()
        var preprocessing = Preprocessing(
            channels: channels, mean: perChannel(description.mean, imageNet.mean),
            deviation: perChannel(description.deviation, imageNet.deviation))
        var size = description.imageShape?.size ?? ImageSize(usual.input[1])
        if description.side != nil || description.imageShape == nil {
            let side = description.side ?? usual.input[1]
            size = ImageSize(side)
            preprocessing.crop = size
            // Photographs show their subject in the middle: the border is cut as in training.
            preprocessing.resize = .shortSide(side >= 128 ? side * 256 / 224 : side)
        }
        try preprocessing.validate()
        network = try Models.named(
            description.model, input: [channels, size.height, size.width], classes: classes)
        parameters = ParameterStore(try network.graph(batch: 1, mode: .inference), seed: 0)
        let known = Set(parameters.names)
        if let stranger = file.names.first(where: {
            !known.contains($0) && !$0.hasSuffix("num_batches_tracked")
        }) {
            throw TrainingError(
                "\(path) holds '\(stranger)', which \(description.model) does not have; is it a "
                    + "checkpoint of another network?")
        }
        try parameters.load(file, from: path)
        self.preprocessing = preprocessing
        classNames = names ?? (0..<classes).map { "class \($0)" }
        recipe = nil
    }

    private static func open(_ path: String) throws -> (file: TensorFile, path: String) {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw TrainingError("\(path) does not exist; give a run folder or a file of weights")
        }
        guard isDirectory.boolValue else { return (try WeightsFile.read(path), path) }
        let folder = RunFolder(path)
        guard folder.hasCheckpoint else {
            throw TrainingError(
                "\(path) is not a run folder: it has no checkpoints/last.safetensors; give a folder "
                    + "that `apus train --out` made")
        }
        return (try WeightsFile.read(folder.checkpointPath), folder.checkpointPath)
    }
}

/// Labels single images.
public final class Classifier {
    public let model: TrainedModel
    private let evaluator: Evaluator
    private let output: ImageSize
    private let scratch = TransformScratch()

    public init(
        _ model: TrainedModel, batch: Int = 1, configuration: Session.Configuration = .init()
    ) throws {
        self.model = model
        evaluator = try Evaluator(
            model.network, parameters: model.parameters, batch: batch,
            configuration: configuration)
        output = ImageSize(height: model.network.input[1], width: model.network.input[2])
    }

    /// An image as the network's input.
    ///
    /// Networks trained on images of one size take pictures of others, too: these are resized to
    /// cover the input and cut around the center.
    public func prepare(_ image: Image, name: String) throws -> [Float] {
        let transform = try ImageTransform(preprocessing: preprocessing(for: image), output: output)
        return try [Float](unsafeUninitializedCapacity: transform.count) { target, filled in
            guard let base = target.baseAddress else { return }
            try transform.write(image, name: name, key: nil, to: base, scratch: scratch)
            filled = transform.count
        }
    }

    /// Which part of an image becomes the network's input, and how.
    func geometry(of image: Image, name: String) throws -> ViewGeometry {
        try ViewGeometry(
            of: ImageSize(height: image.height, width: image.width),
            preprocessing: preprocessing(for: image), output: output, name: name)
    }

    private func preprocessing(for image: Image) -> Preprocessing {
        var preprocessing = model.preprocessing
        let size = ImageSize(height: image.height, width: image.width)
        if ImageTransform.outputSize(of: size, preprocessing) != output
            || preprocessing.resize.size(of: size).height < output.height
            || preprocessing.resize.size(of: size).width < output.width
        {
            preprocessing.resize = .shortSide(max(output.height, output.width))
            preprocessing.crop = output
        }
        return preprocessing
    }

    /// The probabilities of every class for each of the prepared images, any number of them.
    public func probabilities(_ prepared: [[Float]]) -> [[Float]] {
        var result: [[Float]] = []
        for start in stride(from: 0, to: prepared.count, by: evaluator.batch) {
            let part = prepared[start..<min(start + evaluator.batch, prepared.count)]
            let images = Tensor(
                Shape([part.count] + model.network.input.dimensions), Array(part.joined()))
            let logits = evaluator.logits(images)
            let classes = logits.shape[1]
            for row in 0..<part.count {
                result.append(softmax(logits.elements[row * classes..<(row + 1) * classes]))
            }
        }
        return result
    }

    private func softmax(_ scores: ArraySlice<Float>) -> [Float] {
        let largest = Double(scores.max() ?? 0)
        let powers = scores.map { exp(Double($0) - largest) }
        let sum = powers.reduce(0, +)
        return powers.map { Float($0 / sum) }
    }
}
