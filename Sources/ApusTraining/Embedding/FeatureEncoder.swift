import ApusData
import ApusFiles
import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation

/// What a pretraining checkpoint says of itself beside its tensors; other keys are left alone.
struct PretrainingDescription: Codable {
    static let key = "apus.pretraining"

    var encoder: Network
    var head: Network
    var preprocessing: Preprocessing
    var data: String
}

/// A network that represents images as vectors, with its weights and the preparation of images it
/// was trained with: a pretraining run, a classifier without its last layer, or bare weights.
public struct FeatureEncoder {
    /// Where the weights come from.
    public enum Origin: String, Hashable, Codable, Sendable {
        case pretrained, supervised, weights, random
    }

    public let origin: Origin
    /// From an image to the representation h [features], without classifier or projection head.
    public let network: Network
    /// From h to the projection z, with parameters under `head.`; only of pretraining runs.
    public let head: Network?
    public let parameters: ParameterStore
    public let preprocessing: Preprocessing
    /// What it was trained on, as `DataSets.open` takes it; nil where that is not known.
    public let data: String?
    /// How a supervised run changed its training images.
    public let augmentation: Augmentation?

    /// Opens a run folder or checkpoint, of pretraining or of supervised training.
    public init(_ path: String) throws {
        let (file, checkpoint) = try TrainedModel.open(path)
        guard let text = file.metadata[PretrainingDescription.key] else {
            try self.init(TrainedModel(path), origin: .supervised)
            return
        }
        let description: PretrainingDescription
        do {
            description = try JSONDecoder().decode(
                PretrainingDescription.self, from: Data(text.utf8))
        } catch {
            throw TrainingError(
                "\(checkpoint) holds a pretraining run this version cannot read: \(error)")
        }
        try self.init(description, file, checkpoint)
    }

    private init(
        _ description: PretrainingDescription, _ file: TensorFile, _ checkpoint: String
    ) throws {
        try description.preprocessing.validate()
        origin = .pretrained
        network = description.encoder
        head = description.head
        preprocessing = description.preprocessing
        data = description.data
        augmentation = nil
        parameters = ParameterStore(try Self.graph(network, head, batch: 1), seed: 0)
        try parameters.load(file, from: checkpoint)
    }

    /// The encoder of a file of bare weights, of a network with its classifier or without it.
    public init(weights path: String, _ description: TrainedModel.Description) throws {
        let bare = try BareWeights(path, description)
        origin = .weights
        network = try bare.network.encoder()
        head = nil
        preprocessing = bare.preprocessing
        data = nil
        augmentation = nil
        parameters = ParameterStore(try Self.graph(network, nil, batch: 1), seed: 0)
        let classifier = try Set(
            bare.network.graph(batch: 1, mode: .inference).parameters.map(\.name)
        ).subtracting(parameters.names)
        let kept = bare.file.tensors.filter { !classifier.contains($0.name) }
        try parameters.load(
            all: TensorFile(tensors: kept, metadata: bare.file.metadata), from: bare.path,
            model: description.model)
    }

    /// A classifier without its last layer.
    public init(_ model: TrainedModel, origin: Origin = .supervised) throws {
        network = try model.network.encoder()
        head = nil
        self.origin = origin
        preprocessing = model.preprocessing
        data = model.recipe?.data
        augmentation = model.recipe?.augmentation
        parameters = ParameterStore(try Self.graph(network, nil, batch: 1), seed: 0)
        for name in parameters.names {
            if let tensor = model.parameters.tensor(name) { try parameters.set(name, tensor) }
        }
    }

    /// What pretraining by `recipe` has made of `trained`, which is copied.
    package init(_ recipe: PretrainingRecipe, trained: ParameterStore) throws {
        origin = .pretrained
        network = recipe.encoder
        head = recipe.head
        preprocessing = recipe.preprocessing
        data = recipe.data
        augmentation = nil
        parameters = ParameterStore(try Self.graph(network, head, batch: 1), seed: 0)
        for name in parameters.names {
            guard let tensor = trained.tensor(name) else {
                throw TrainingError("\(network.name) has no trained \(name)")
            }
            try parameters.set(name, tensor)
        }
    }

    private init(_ other: FeatureEncoder, seed: UInt64) throws {
        origin = .random
        network = other.network
        head = other.head
        preprocessing = other.preprocessing
        data = other.data
        augmentation = other.augmentation
        parameters = ParameterStore(try Self.graph(network, head, batch: 1), seed: seed)
    }

    /// Whether `path` says what it holds; else it is bare weights, whose network must be named.
    public static func describesItself(_ path: String) throws -> Bool {
        let (file, _) = try TrainedModel.open(path)
        return try file.metadata[PretrainingDescription.key] != nil
            || TrainedModel.describesItself(path)
    }

    /// The same network as it was before any training.
    public func redrawn(seed: UInt64) throws -> FeatureEncoder {
        try FeatureEncoder(self, seed: seed)
    }

    /// The graph from `images` to `representation` and, where there is a head, `projection`.
    static func graph(_ network: Network, _ head: Network?, batch: Int) throws -> Graph {
        var builder = GraphBuilder(mode: .inference)
        guard network.input.rank == 3, network.input.count > 0 else {
            throw TrainingError(
                "\(network.name) takes \(network.input), not [channels, height, width]")
        }
        let images = builder.input("images", Shape([batch] + network.input.dimensions))
        let features = try builder.append(network.layers, to: images)
        guard builder.shape(features).rank == 2 else {
            throw TrainingError(
                "\(network.name) makes \(builder.shape(features)), not [images, features]")
        }
        builder.output("representation", features)
        if let head {
            builder.output(
                "projection", try builder.append(head.layers, to: features, path: "head"))
        }
        return builder.graph
    }

    /// Runs `body`, and throws a `TrainingError` if the encoder's weights or the statistics of its
    /// batch norms are not the same bytes afterwards: then whatever was measured is not of a frozen
    /// encoder.
    public func whileFrozen<Result>(_ body: () throws -> Result) throws -> Result {
        let before = parameters.fingerprint
        let result = try body()
        guard parameters.fingerprint == before else {
            throw TrainingError(
                "the weights or batch-norm statistics of \(network.name) changed during a frozen "
                    + "probe, so its result is thrown away; please report this")
        }
        return result
    }
}

extension ParameterStore {
    /// A hash (FNV-1a, 64 bits) of the names and bytes of all parameters and buffers, the running
    /// statistics of batch norms among them, as 16 hexadecimal digits.
    public var fingerprint: String {
        var hash = RandomKey.hash("")
        func absorb(_ slots: [Slot], _ block: Arena) {
            for slot in slots {
                hash = (hash ^ RandomKey.hash(slot.name)) &* 0x100_0000_01B3
                let values = UnsafeBufferPointer(
                    start: block.base + slot.offset, count: slot.shape.count)
                for byte in UnsafeRawBufferPointer(values) {
                    hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
                }
            }
        }
        absorb(parameters, parameterBlock)
        absorb(buffers, bufferBlock)
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
