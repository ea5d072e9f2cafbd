import ApusData
import Foundation

extension Embedding {
    /// Finds the images of an embedding again, to show them.
    public struct Images {
        private let embedding: Embedding
        private var source: (any ImageSource)?

        public init(_ embedding: Embedding) { self.embedding = embedding }

        /// The image of a row: its file, or its place in the data set.
        public mutating func image(_ row: Int) throws -> Image {
            let name = embedding.names[row]
            if FileManager.default.fileExists(atPath: name) {
                return try ImageDecoder().decode(contentsOf: name)
            }
            guard let split = embedding.source.split else {
                throw DataError(
                    name, "is not where it was embedded",
                    remedy: "run from the same folder, or embed the images again")
            }
            let set = try source ?? DataSets.open(embedding.source.data, split: split)
            source = set
            let sample = embedding.samples[row]
            guard sample < set.count, set.name(of: sample) == name else {
                throw DataError(
                    name, "is not in \(embedding.source.data) any more",
                    remedy: "embed the images again")
            }
            return try set.image(at: sample)
        }
    }
}
