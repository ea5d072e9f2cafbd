import Apus
import ArgumentParser
import Foundation

struct EmbedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Turns images into vectors, for search and maps.",
        discussion: """
            Images of any size are taken; those that cannot be read are listed at the end and \
            counted. The file holds `features` [images, width], `names`, `samples` and, of labelled \
            data, `labels`.

            Example: apus embed photos --with runs/simclr --out photos.safetensors
            Example: apus embed fashion-mnist --split test --with runs/first \
            --out test.safetensors
            """)

    @Argument(help: "A folder of images, or a data set such as fashion-mnist.")
    var data: String

    @OptionGroup var encoder: EncoderOptions

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(help: "The file of features to write.")
    var out: String

    @Option(help: "Which part of a data set. (default: train, or all of a folder without parts)")
    var split: Split?

    @Option(help: "Which vector: representation (h) or projection (z, behind the head).")
    var layer = FeatureLayer.representation

    @Option(help: "Images in a batch.")
    var batch = 64

    @Flag(help: "Stop at the first image that cannot be read.")
    var strict = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws { try require(batch, in: 1...65_536, "--batch") }

    func run() throws {
        decoding.apply()
        let model = try encoder.loadEncoder()
        let images = try EmbeddedData.open(data, split: split)
        let extractor = try FeatureExtractor(
            model, layer: layer, batch: min(batch, images.source.count),
            configuration: encoder.configuration())
        let status = StatusLine()
        let clock = ContinuousClock()
        let start = clock.now
        Interrupt.install()
        let embedding: Embedding
        do {
            embedding = try Embedder(extractor).embed(
                images.source, data: data, split: images.split, hasLabels: images.hasLabels,
                isStrict: strict,
                progress: { done in
                    let share = Double(done) / Double(images.source.count)
                    let seconds = (clock.now - start) / .seconds(1)
                    if !json {
                        status.update(
                            "\(StatusLine.bar(share)) \(done) of \(images.source.count) images"
                                + String(format: "  %.0f/s", Double(done) / seconds))
                    }
                }, shouldStop: { Interrupt.received != nil })
        } catch is CancellationError {
            status.clear()
            Terminal.note("stopped; \(out) was not written")
            throw ExitCode(128 + (Interrupt.received ?? 2))
        }
        status.clear()
        try embedding.write(to: out)
        let failures = embedding.source.failures
        if json {
            try printJSON(EmbedLine(embedding, out))
        } else {
            for failure in failures { Terminal.note("left out: " + failure.problem) }
            print(
                "\(embedding.count) images as \(embedding.width) numbers each by "
                    + "\(embedding.source.encoder), in \(out)"
                    + (failures.isEmpty ? "" : "; \(failures.count) could not be read"))
        }
    }
}

/// The images of a data set or of any folder.
struct EmbeddedData {
    var source: any ImageSource
    var split: Split?
    var hasLabels: Bool

    /// Opens a data set, whose train split is taken unless another is asked for, or a folder.
    ///
    /// A folder without parts is labelled if all its images lie in two or more class folders; of any
    /// other one all images are taken, however deep they lie, without labels.
    static func open(_ name: String, split: Split?) throws -> EmbeddedData {
        let source = try DataSets.open(name, split: split ?? .train)
        guard split == nil, source is FolderSource, try !hasTest(name) else {
            return EmbeddedData(
                source: source, split: split ?? .train, hasLabels: source.hasLabels)
        }
        let folder = name.hasPrefix("folder:") ? String(name.dropFirst("folder:".count)) : name
        let all =
            FolderSource.isDirectory(folder)
            ? try DataSets.open("unlabelled:" + folder, split: .train) : source
        let isLabelled = source.classNames.count > 1 && source.count == all.count
        return EmbeddedData(
            source: isLabelled ? source : all, split: isLabelled ? .train : nil,
            hasLabels: isLabelled)
    }

    private static func hasTest(_ name: String) throws -> Bool {
        do { return try DataSets.openTest(name) != nil } catch { return true }
    }
}

/// The names are those other tools read.
private struct EmbedLine: Encodable {
    var out: String
    var images: Int
    var width: Int
    var encoder: String
    var fingerprint: String
    var failed: [Embedding.Failure]

    init(_ embedding: Embedding, _ out: String) {
        self.out = out
        images = embedding.count
        width = embedding.width
        encoder = embedding.source.encoder
        fingerprint = embedding.source.fingerprint
        failed = embedding.source.failures
    }
}
