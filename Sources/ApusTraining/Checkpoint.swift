import ApusFiles
import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation

/// Where a run stands: with the recipe and the tensors it is all that a run needs to continue.
public struct Progress: Hashable, Codable, Sendable {
    /// Steps taken.
    public var step = 0
    /// The epoch and the batch in it that come next.
    public var epoch = 0
    public var batch = 0
    /// The running sums of the training metrics since their last line.
    public var lossSum = 0.0
    public var correct = 0
    public var images = 0
    /// The algorithm of every convolution: another would round differently.
    public var choices: [String: String] = [:]
}

/// Reads and writes the state of a run: a safetensors file whose tensors are the network's weights
/// under their own names, the average under `ema.` and the optimizer's state under `optimizer.`,
/// and whose metadata holds the recipe and the progress.
public enum Checkpoint {
    static let progressKey = "apus.progress"

    /// Written aside, synced and renamed: there is always one good checkpoint.
    static func write<R: RunRecipe>(
        _ recipe: R, _ progress: Progress, _ tensors: [(name: String, tensor: Tensor)],
        to path: String
    ) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try Safetensors.write(
            tensors: tensors,
            metadata: [
                R.checkpointKey: String(decoding: try encoder.encode(recipe), as: UTF8.self),
                progressKey: String(decoding: try encoder.encode(progress), as: UTF8.self),
            ], to: path)
    }

    /// Opens the checkpoint of a run that continues. Throws a `TrainingError` naming the file and what
    /// is missing or was another recipe's.
    static func open<R: RunRecipe>(
        _ path: String, _ recipe: R
    ) throws -> (file: TensorFile, progress: Progress) {
        let file = try Safetensors.read(path)
        let saved: R = try Checkpoint.decode(file, path)
        let differences = saved.differences(recipe)
        guard differences.isEmpty else {
            throw TrainingError(
                "\(path) is of a run with another \(differences.joined(separator: ", ")); "
                    + "repeat the run's own flags to continue it, or choose another --out")
        }
        guard let text = file.metadata[progressKey] else {
            throw TrainingError("\(path) does not say where the run stood; choose another --out")
        }
        do {
            return (file, try JSONDecoder().decode(Progress.self, from: Data(text.utf8)))
        } catch {
            throw TrainingError(
                "\(path) does not say where the run stood (\(error)); choose another --out")
        }
    }

    /// The recipe inside a checkpoint.
    public static func recipe(_ file: TensorFile, _ path: String) throws -> Recipe {
        guard file.metadata[PretrainingRecipe.checkpointKey] == nil else {
            throw TrainingError(
                "\(path) is of a pretrained encoder, which knows no classes; see `apus probe`")
        }
        return try decode(file, path)
    }

    static func decode<R: RunRecipe>(_ file: TensorFile, _ path: String) throws -> R {
        guard let text = file.metadata[R.checkpointKey] else {
            throw TrainingError(
                "\(path) holds weights but no recipe; say which network they are of with --model")
        }
        do {
            return try JSONDecoder().decode(R.self, from: Data(text.utf8))
        } catch {
            throw TrainingError("\(path) holds a recipe this version cannot read: \(error)")
        }
    }

    /// The recipe of the run in a folder.
    public static func recipe(of folder: RunFolder) throws -> Recipe {
        try recipe(Safetensors.read(folder.checkpointPath), folder.checkpointPath)
    }

    /// The weights a checkpoint is used with: the average where there is one.
    public static func loadForUse(
        _ file: TensorFile, into store: ParameterStore, from path: String
    ) throws {
        try store.load(file, prefix: prefixForUse(file), from: path)
    }

    private static func prefixForUse(_ file: TensorFile) -> String {
        file.names.contains { $0.hasPrefix("ema.") } ? "ema." : ""
    }

    /// Throws a `TrainingError` unless the file holds everything `graph` needs.
    static func requireWeights(of graph: Graph, in file: TensorFile, _ path: String) throws {
        let prefix = prefixForUse(file)
        let report = ParityReport(
            network: graph.storedShapes.map { (prefix + $0.name, $0.shape) }, file: file)
        guard report.isComplete else { throw TrainingError(report.problem(path)) }
    }
}

/// What decides a run and is stored with it.
protocol RunRecipe: Codable {
    /// Where a checkpoint's metadata holds it.
    static var checkpointKey: String { get }
    /// The names of settings in which another differs.
    func differences(_ other: Self) -> [String]
}

extension Recipe: RunRecipe { static let checkpointKey = "apus.recipe" }

extension Optimizer {
    /// Takes its state from a checkpoint; throws a `TrainingError` that names what is missing.
    func restore(_ file: TensorFile, from path: String) throws {
        if let missing = restore({ file[$0]?.tensor() }) {
            throw TrainingError("\(path) has no usable \(missing); choose another --out")
        }
    }
}

extension ParameterStore {
    /// Starts from the weights of a run folder, a checkpoint, a file of weights, or from those of the
    /// registry by name. A classifier of other classes is left as it was drawn; everything else must be there.
    ///
    /// Returns the names that were left.
    public func start(from path: String) throws -> [String] {
        let folder = RunFolder(path)
        let path = try PretrainedWeights.meant(by: path)?.file() ?? path
        let file = EfficientNetNames.translate(
            try WeightsFile.read(folder.hasCheckpoint ? folder.checkpointPath : path),
            for: parameters.map(\.name))
        let prefix = file.names.contains { $0.hasPrefix("ema.") } ? "ema." : ""
        let head = parameters.lastIndex(where: \.isDecayed).map { parameters[$0...] } ?? []
        let left = Set(
            head.contains { file[prefix + $0.name]?.shape != $0.shape } ? head.map(\.name) : [])
        try load(file, prefix: prefix, except: left, from: path)
        return left.sorted()
    }

    /// All parameters, then all buffers.
    public func tensors() -> [(name: String, tensor: Tensor)] {
        names.compactMap { name in tensor(name).map { (name, $0) } }
    }

    /// The names of all tensors, with their shapes.
    public var shapes: [(name: String, shape: Shape)] {
        names.compactMap { name in shape(name).map { (name, $0) } }
    }

    /// Takes every parameter and buffer from a file, under their names behind `prefix`; other
    /// tensors of the file are none of the network's and are left.
    ///
    /// Throws a `TrainingError` that names the file, the parameter and both shapes, before anything
    /// is changed.
    public func load(
        _ file: TensorFile, prefix: String = "", except: Set<String> = [], from path: String
    ) throws {
        let wanted = shapes.filter { !except.contains($0.name) }
        let report = ParityReport(
            network: wanted.map { (name: prefix + $0.name, shape: $0.shape) }, file: file)
        guard report.isComplete else { throw TrainingError(report.problem(path)) }
        let found = wanted.compactMap { name, _ in
            file[prefix + name].map { (name, $0.tensor()) }
        }
        for (name, tensor) in found { try set(name, tensor) }
    }
}
