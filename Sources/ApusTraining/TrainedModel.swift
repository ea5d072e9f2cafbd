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
        /// How images become the network's input, if that is known; it decides over mean, deviation
        /// and side.
        public var preprocessing: Preprocessing?

        public init(model: String) { self.model = model }
    }

    /// A network with weights that are in memory.
    public init(
        network: Network, parameters: ParameterStore, preprocessing: Preprocessing,
        classNames: [String]
    ) {
        self.network = network
        self.parameters = parameters
        self.preprocessing = preprocessing
        self.classNames = classNames
        recipe = nil
    }

    /// Whether `path` is a run folder or a checkpoint, which describe themselves.
    public static func describesItself(_ path: String) throws -> Bool {
        let metadata = try open(path).file.metadata
        return metadata[Recipe.checkpointKey] != nil || metadata[ModelDescription.key] != nil
    }

    /// Opens a run folder, its checkpoint, or a file of weights that `apus convert` made.
    public init(_ path: String) throws {
        let (file, path) = try TrainedModel.open(path)
        recipe =
            file.metadata[ModelDescription.key] == nil ? try Checkpoint.recipe(file, path) : nil
        let description = try recipe.map(ModelDescription.init) ?? ModelDescription(file, path)
        let graph = try description.graph(path)
        // Before memory is taken for whatever the file says the network is.
        try Checkpoint.requireWeights(of: graph, in: file, path)
        network = description.network
        preprocessing = description.preprocessing
        classNames = description.classNames
        parameters = ParameterStore(graph, seed: recipe?.seed ?? 0)
        try Checkpoint.loadForUse(file, into: parameters, from: path)
    }

    /// How the weights at `path`, or those of the registry called so, expect images; nil if that is
    /// not known.
    public static func preprocessing(of path: String) throws -> Preprocessing? {
        if let known = PretrainedWeights.meant(by: path) { return known.preprocessing }
        return try describesItself(path) ? TrainedModel(path).preprocessing : nil
    }

    /// Opens weights of the registry that have been fetched.
    public init(pretrained weights: PretrainedWeights) throws {
        var description = Description(model: weights.model)
        description.preprocessing = weights.preprocessing
        description.classNames = weights.classNames
        try self.init(weights: try weights.file(), description)
    }

    /// Opens a file of weights and nothing else. Its names must be exactly the network's.
    public init(weights path: String, _ description: Description) throws {
        let bare = try BareWeights(path, description)
        network = bare.network
        preprocessing = bare.preprocessing
        classNames = bare.classNames
        recipe = nil
        parameters = ParameterStore(try network.graph(batch: 1, mode: .inference), seed: 0)
        try parameters.load(all: bare.file, from: bare.path, model: description.model)
    }

    static func open(_ path: String) throws -> (file: TensorFile, path: String) {
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
