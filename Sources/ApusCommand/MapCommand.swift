import Apus
import ApusReport
import ArgumentParser
import Foundation

extension MapMethod: ExpressibleByArgument {}

struct MapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "map",
        abstract: "Draws an embedded set as points in the plane, colored by class.",
        discussion: """
            pca shows the two directions of largest variance; tsne keeps neighbors together and \
            shows clusters, whose sizes and distances mean nothing.

            Example: apus map test.safetensors --out map.png
            Example: apus map test.safetensors --method pca --out map.svg
            """)

    @Argument(help: "The file of features, made by `apus embed`.")
    var features: String

    @Option(help: "How vectors are brought to the plane: pca or tsne.")
    var method = MapMethod.tsne

    @Option(help: "The picture to write: a .png or .svg file.")
    var out: String

    @Option(help: "Draw so many images of a larger set. (default: 3000 for tsne, 20000 for pca)")
    var points: Int?

    @Option(help: "Decides which images of a larger set are drawn.")
    var seed: UInt64 = 0

    @Option(help: "About how many neighbors tsne keeps together.")
    var perplexity = 30.0

    @Option(help: "Threads. (default: all cores)")
    var threads: Int?

    @Flag(help: "Print one JSON object with the coordinates.")
    var json = false

    func validate() throws {
        try require(points, in: 3...100_000, "--points")
        try require(perplexity, in: 2...1000, "--perplexity")
        try require(threads, in: 1...1024, "--threads")
        guard isSVG || out.lowercased().hasSuffix(".png") else {
            throw ValidationError("--out must end in .png or .svg, which '\(out)' does not")
        }
    }

    private var isSVG: Bool { out.lowercased().hasSuffix(".svg") }

    func run() throws {
        let embedding = try Embedding(contentsOf: features)
        let status = StatusLine()
        Interrupt.install()
        let map: Embedding.PlaneMap
        do {
            map = try embedding.map(
                method, limit: points ?? (method == .tsne ? 3000 : 20_000), seed: seed,
                perplexity: perplexity, threads: threads ?? Machine.cores,
                progress: { done, count in
                    let share = Double(done) / Double(count)
                    if !json {
                        status.update("\(StatusLine.bar(share)) iteration \(done) of \(count)")
                    }
                }, shouldStop: { Interrupt.received != nil })
        } catch is CancellationError {
            status.clear()
            Terminal.note("stopped; \(out) was not written")
            throw ExitCode(128 + (Interrupt.received ?? 2))
        }
        status.clear()
        let shown =
            map.rows.count == embedding.count
            ? "\(embedding.count) images" : "\(map.rows.count) of \(embedding.count) images"
        let share = map.varianceShare.map {
            ", \(Readable.percent($0, digits: 0)) of the variance"
        }
        let picture = PointMap(
            title: "\(method.rawValue == "pca" ? "PCA" : "t-SNE") of \(shown) of "
                + "\(embedding.source.data) by \(embedding.source.encoder)\(share ?? "")",
            points: map.rows.indices.map {
                (Double(map.places.elements[2 * $0]), Double(map.places.elements[2 * $0 + 1]))
            },
            labels: embedding.labels.map { labels in map.rows.map { labels[$0] } },
            classNames: embedding.source.classNames, names: map.rows.map { embedding.names[$0] })
        let bytes =
            isSVG ? Data(picture.svg().utf8) : Data(try ImageEncoder.encodePNG(picture.image()))
        try AtomicFile.write(to: out) { try $0.write(bytes) }
        if json {
            try printJSON(MapLine(map, embedding, out))
        } else {
            print("\(shown) are drawn in \(out)\(share ?? "")")
        }
    }
}

/// The names are those other tools read.
private struct MapLine: Encodable {
    var method: MapMethod
    var out: String
    var variance_share: Double?
    var rows: [Int]
    var places: [[Float]]
    var labels: [Int]?

    init(_ map: Embedding.PlaneMap, _ embedding: Embedding, _ out: String) {
        method = map.method
        self.out = out
        variance_share = map.varianceShare
        rows = map.rows
        places = map.rows.indices.map {
            [map.places.elements[2 * $0], map.places.elements[2 * $0 + 1]]
        }
        labels = embedding.labels.map { labels in map.rows.map { labels[$0] } }
    }
}
