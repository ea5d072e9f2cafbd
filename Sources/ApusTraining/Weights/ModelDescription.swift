import ApusData
import ApusFiles
import ApusGraph
import ApusTensor
import Foundation

/// What is needed to use weights besides their numbers: part of the metadata of every file of weights
/// that Apus writes, so that it needs no flags to be used.
public struct ModelDescription: Hashable, Codable, Sendable {
    public var network: Network
    public var preprocessing: Preprocessing
    public var classNames: [String]

    /// The key in the metadata of safetensors and of ONNX files.
    public static let key = "apus.model"

    public init(network: Network, preprocessing: Preprocessing, classNames: [String]) {
        self.network = network
        self.preprocessing = preprocessing
        self.classNames = classNames
    }

    /// What a run is of.
    public init(_ recipe: Recipe) {
        self.init(
            network: recipe.network, preprocessing: recipe.preprocessing,
            classNames: recipe.classNames)
    }

    /// What a converted file says of itself.
    init(_ file: TensorFile, _ path: String) throws {
        do {
            let text = file.metadata[Self.key] ?? ""
            self = try JSONDecoder().decode(ModelDescription.self, from: Data(text.utf8))
        } catch {
            throw TrainingError(
                "\(path) describes its network in a way this version cannot read: \(error); "
                    + "convert the original again")
        }
    }

    /// The description as text.
    func encoded() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// The graph in use after training. Throws a `TrainingError` that names the file where the parts
    /// do not fit together.
    func graph(_ path: String) throws -> Graph {
        func damaged(_ problem: String) -> TrainingError {
            TrainingError(
                "\(path) describes its network badly: \(problem); convert or train it again")
        }
        let graph: Graph
        do {
            try preprocessing.validate()
            graph = try network.graph(batch: 1, mode: .inference)
        } catch {
            throw damaged("\(error)")
        }
        guard let logits = graph.outputs["logits"], graph.shape(logits).rank == 2,
            graph.shape(logits)[1] == classNames.count
        else { throw damaged("its outputs are not one for each of \(classNames.count) classes") }
        guard network.input[0] == preprocessing.channels else {
            throw damaged(
                "it takes \(network.input[0]) channels, images are prepared with "
                    + "\(preprocessing.channels)")
        }
        return graph
    }
}
