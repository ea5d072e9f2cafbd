import ApusData
import ApusFiles
import ApusTensor
import Foundation

/// The vectors of a set of images and what is known of the images.
///
/// In a file, a safetensors file, the tensors are `features` [images, width] as 32-bit floats,
/// `samples` and, of labelled images, `labels` as 64-bit integers, and `names`, the bytes of a JSON
/// list of texts. The metadata `apus.embedding` says where they come from.
public struct Embedding: Hashable, Sendable {
    /// Where vectors come from.
    public struct Source: Hashable, Codable, Sendable {
        /// The encoder's name and the hash of its weights and statistics.
        public var encoder: String
        public var fingerprint: String
        public var layer: FeatureLayer
        /// What the images are of, as it was given.
        public var data: String
        public var split: Split?
        public var classNames: [String]
        /// Images that could not be read, and why.
        public var failures: [Failure]
    }

    public struct Failure: Hashable, Codable, Sendable {
        public var name: String
        public var problem: String
    }

    /// [images, width].
    public var features: Tensor
    /// The file of every image, or what errors call it.
    public var names: [String]
    /// The position of every image in its source.
    public var samples: [Int]
    /// The class of every image; nil where there are none.
    public var labels: [Int]?
    public var source: Source

    public var count: Int { names.count }
    public var width: Int { features.shape[1] }

    /// The name of an image's class; nil where there are none.
    public func className(of row: Int) -> String? {
        labels.map { source.classNames[$0[row]] }
    }

    private static let metadataKey = "apus.embedding"

    /// Writes the file, atomically.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var tensors = [
            NamedTensor("features", features),
            NamedTensor("samples", samples.map(Int64.init)),
            NamedTensor("names", [UInt8](try encoder.encode(names))),
        ]
        if let labels { tensors.append(NamedTensor("labels", labels.map(Int64.init))) }
        try Safetensors.write(
            tensors,
            metadata: [
                Self.metadataKey: String(decoding: try encoder.encode(source), as: UTF8.self)
            ], to: path)
    }

    /// Reads a file that `write` made; a damaged one is a `TrainingError` or `FileError` of one line.
    public init(contentsOf path: String) throws {
        let file = try Safetensors.read(path)
        func damaged(_ problem: String) -> TrainingError {
            TrainingError("\(path) \(problem); make it again with `apus embed`")
        }
        guard let text = file.metadata[Self.metadataKey] else {
            throw damaged("is not a file of features of `apus embed`")
        }
        guard let stored = file["features"], stored.shape.rank == 2, stored.shape[1] > 0 else {
            throw damaged("has no features [images, width]")
        }
        let count = stored.shape[0]
        do {
            source = try JSONDecoder().decode(Source.self, from: Data(text.utf8))
            names = try JSONDecoder().decode([String].self, from: file["names"]?.bytes ?? Data())
        } catch {
            throw damaged("does not say what its rows are (\(error))")
        }
        guard let samples = file["samples"]?.integers(), samples.count == count,
            names.count == count, samples.allSatisfy({ $0 >= 0 })
        else { throw damaged("has \(count) rows of features, but not as many names") }
        if let stored = file["labels"] {
            let classes = 0..<Int64(source.classNames.count)
            guard let labels = stored.integers(), labels.count == count,
                labels.allSatisfy(classes.contains)
            else { throw damaged("has labels that do not fit its \(count) rows") }
            self.labels = labels.map(Int.init)
        }
        features = stored.tensor()
        guard features.elements.allSatisfy(\.isFinite) else {
            throw damaged("has features that are not finite")
        }
        self.samples = samples.map(Int.init)
    }

    /// Throws a `TrainingError` unless the vectors are those of `encoder`: the cosines between
    /// vectors of two encoders mean nothing.
    public func require(_ encoder: FeatureEncoder, path: String) throws {
        guard encoder.parameters.fingerprint == source.fingerprint else {
            throw TrainingError(
                "\(path) holds features (\(width) numbers each) of another encoder, "
                    + "\(source.encoder) with the fingerprint \(source.fingerprint); this is "
                    + "\(encoder.network.name) with \(encoder.parameters.fingerprint): give the run "
                    + "the features were made with, or embed the images again")
        }
    }

    init(
        _ features: Tensor, names: [String], samples: [Int], labels: [Int]?, source: Source
    ) {
        self.features = features
        self.names = names
        self.samples = samples
        self.labels = labels
        self.source = source
    }
}
