import Apus
import ApusReport
import ArgumentParser
import Foundation

struct SearchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Finds the images of an embedded set that are most alike to others.",
        discussion: """
            Alike is what the encoder represents by vectors of nearly the same direction.

            Example: apus search cat.jpg --in photos.safetensors --with runs/simclr
            Example: apus search a.png b.png --in photos.safetensors --with runs/simclr --top 8 \
            --sheet alike.png
            """)

    @Argument(help: "JPEG or PNG files to look for.")
    var images: [String] = []

    @Option(
        name: .customLong("in"), help: "The file of features to search, made by `apus embed`.")
    var features: String

    @OptionGroup var encoder: EncoderOptions

    @Option(help: "Images to find for each.")
    var top = 5

    @Option(help: "Write a picture, a row for each image and what is alike, to this PNG file.")
    var sheet: String?

    @Flag(help: "Print one JSON object an image.")
    var json = false

    func validate() throws {
        try require(top, in: 1...10_000, "--top")
        if images.isEmpty { throw ValidationError("give images to look for") }
        if sheet != nil, images.count * (top + 1) > 10_000 {
            throw ValidationError("--sheet shows at most 10000 images")
        }
    }

    func run() throws {
        let embedding = try Embedding(contentsOf: features)
        let model = try encoder.loadEncoder()
        try embedding.require(model, path: features)
        let queries = try images.map {
            (image: try ImageDecoder().decode(contentsOf: $0), name: $0)
        }
        let extractor = try FeatureExtractor(
            model, layer: embedding.source.layer, batch: min(queries.count, 32),
            configuration: encoder.configuration())
        let vectors = try Embedder(extractor).embed(queries)
        let found = NearestNeighbors(embedding.features)
            .nearest(min(top, embedding.count), to: vectors)
        var table = Table(
            ("image", .left), ("rank", .right), ("cosine", .right), ("alike", .left),
            ("class", .left))
        for (query, neighbors) in zip(queries, found) {
            if json { try printJSON(SearchLine(query.name, neighbors, embedding)) }
            for (rank, neighbor) in neighbors.enumerated() {
                table.add(
                    rank == 0 ? query.name : "", "\(rank + 1)",
                    String(format: "%.4f", neighbor.similarity), embedding.names[neighbor.index],
                    embedding.className(of: neighbor.index) ?? "")
            }
        }
        if !json { table.print() }
        guard let sheet else { return }
        var tiles: [ContactSheet.Tile] = []
        var shown = Embedding.Images(embedding)
        for (query, neighbors) in zip(queries, found) {
            tiles.append(
                ContactSheet.Tile(
                    image: query.image, frame: .query, caption: ["query", fileName(query.name)]))
            for neighbor in neighbors {
                let name = fileName(embedding.names[neighbor.index])
                tiles.append(
                    ContactSheet.Tile(
                        image: try shown.image(neighbor.index), frame: .unknown,
                        caption: [
                            String(format: "%.4f", neighbor.similarity),
                            embedding.className(of: neighbor.index) ?? name,
                        ]))
            }
        }
        let columns = min(top, embedding.count) + 1
        let png = try ImageEncoder.encodePNG(ContactSheet(tiles, columns: columns).image())
        try AtomicFile.write(to: sheet) { try $0.write(Data(png)) }
        if !json { print("the picture is in \(sheet)") }
    }

    private func fileName(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }
}

/// The names are those other tools read.
private struct SearchLine: Encodable {
    struct Neighbor: Encodable {
        var name: String
        var sample: Int
        var cosine: Float
        var label: String?
    }

    var image: String
    var alike: [Neighbor]

    init(_ image: String, _ neighbors: [NearestNeighbors.Neighbor], _ embedding: Embedding) {
        self.image = image
        alike = neighbors.map {
            Neighbor(
                name: embedding.names[$0.index], sample: embedding.samples[$0.index],
                cosine: $0.similarity, label: embedding.className(of: $0.index))
        }
    }
}
