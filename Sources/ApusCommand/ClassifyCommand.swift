import Apus
import ApusReport
import ArgumentParser
import Foundation

struct ClassifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "classify",
        abstract: "Says what is on images.",
        discussion: """
            Images are prepared as in training. Those of another size than the network's are resized \
            and cut around the center.

            Example: apus classify runs/first shoe.png bag.jpg --top 3
            Example: apus classify runs/first --samples 12 --sheet predictions.png
            Example: apus classify runs/first shoe.png --explain shoe-map.png
            """)

    @OptionGroup var options: ModelOptions

    @Argument(help: "JPEG or PNG files.")
    var images: [String] = []

    @Option(help: "Labels to print for an image.")
    var top = 3

    @Option(help: "Classify this many test images of a data set, evenly spaced, instead of files.")
    var samples: Int?

    @Option(help: "The data set of --samples. (default: what the run was trained on)")
    var data: String?

    @Option(help: "Write a picture of the images with their labels to this PNG file.")
    var sheet: String?

    @OptionGroup var explanation: ExplainOptions

    @Flag(help: "Print one JSON object an image.")
    var json = false

    func validate() throws {
        try require(top, in: 1...1_000_000, "--top")
        try require(samples, in: 1...10_000, "--samples")
        if images.isEmpty == (samples == nil) {
            throw ValidationError("give images or --samples, one of them")
        }
        if data != nil, samples == nil { throw ValidationError("--data goes with --samples") }
        if sheet != nil, images.count > 10_000 {
            throw ValidationError("--sheet shows at most 10000 images")
        }
    }

    func run() throws {
        let source = try samples.map { _ in try options.openData(data, split: .test) }
        let model = try options.load(data: source)
        if let source, source.classNames.count != model.classNames.count {
            throw CommandError(
                "\(options.source) knows \(model.classNames.count) classes, the data has "
                    + "\(source.classNames.count); choose the data it was trained on with --data")
        }
        let count = samples.map { min($0, source?.count ?? 0) } ?? images.count
        let classifier = try Classifier(
            model, batch: min(count, 32), configuration: options.configuration)
        let explainer = try explanation.explainer(
            classifier, images: count, configuration: options.configuration)
        var table = Table(
            columns: [("file", .left)] + (source == nil ? [] : [("is", .left)])
                + (1...min(top, model.classNames.count)).flatMap { _ in
                    [("label", .left), ("", .right)]
                })
        var tiles: [ContactSheet.Tile] = []
        var failed = 0
        var right = 0
        for start in stride(from: 0, to: count, by: 32) {
            var subjects: [Subject] = []
            for index in start..<min(start + 32, count) {
                var subject: Subject
                if let source {
                    let sample = index * source.count / count
                    subject = Subject(
                        name: source.name(of: sample), truth: source.label(at: sample))
                    subject.read { try source.image(at: sample) }
                } else {
                    subject = Subject(name: images[index], truth: nil)
                    subject.read { try ImageDecoder().decode(contentsOf: images[index]) }
                }
                subject.prepare(classifier)
                subjects.append(subject)
            }
            var results = classifier.probabilities(subjects.compactMap(\.prepared))[...]
            for subject in subjects {
                if let problem = subject.problem {
                    failed += 1
                    Terminal.note("apus: " + problem)
                    if json { try printJSON(ClassifyLine(file: subject.name, error: problem)) }
                    continue
                }
                guard let image = subject.image, let scores = results.popFirst() else { continue }
                let best = scores.indices.sorted { scores[$0] > scores[$1] }.prefix(top)
                if best.first == subject.truth { right += 1 }
                let box = try explainer?.explain(image, name: subject.name, label: best.first)
                try report(subject, model, scores, best, box, &table)
                if sheet != nil { tiles.append(tile(image, subject, model, scores, best)) }
            }
        }
        if !json {
            if failed < count { table.print() }
            if source != nil, failed < count { print("\n\(right) of \(count - failed) right") }
        }
        if let sheet, !tiles.isEmpty {
            let png = try ImageEncoder.encodePNG(ContactSheet(tiles).image())
            try AtomicFile.write(to: sheet) { try $0.write(Data(png)) }
            if !json { print("the picture is in \(sheet)") }
        }
        if failed > 0 { throw ExitCode(1) }
    }

    private func report(
        _ subject: Subject, _ model: TrainedModel, _ scores: [Float], _ best: ArraySlice<Int>,
        _ box: BoundingBox?, _ table: inout Table
    ) throws {
        if json {
            try printJSON(
                ClassifyLine(
                    file: subject.name, truth: subject.truth.map { model.classNames[$0] },
                    predictions: best.map {
                        .init(index: $0, label: model.classNames[$0], probability: scores[$0])
                    }, box: box))
            return
        }
        let truth = subject.truth.map {
            [model.classNames[$0] + (best.first == $0 ? "" : " (!)")]
        }
        let name =
            subject.truth == nil
            ? subject.name : subject.name.split(separator: "/").last.map(String.init) ?? ""
        table.add(
            row: [name] + (truth ?? [])
                + best.flatMap {
                    [model.classNames[$0], Readable.percent(Double(scores[$0]), digits: 1)]
                })
    }

    private func tile(
        _ image: Image, _ subject: Subject, _ model: TrainedModel, _ scores: [Float],
        _ best: ArraySlice<Int>
    ) -> ContactSheet.Tile {
        guard let first = best.first else {
            return ContactSheet.Tile(image: image, frame: .unknown, caption: [])
        }
        let isRight = subject.truth.map { $0 == first }
        var caption = [
            model.classNames[first], Readable.percent(Double(scores[first]), digits: 1),
        ]
        if let truth = subject.truth, truth != first {
            caption.append("true: \(model.classNames[truth])")
        }
        return ContactSheet.Tile(
            image: image, frame: isRight.map { $0 ? .right : .wrong } ?? .unknown,
            caption: caption)
    }
}

/// An image on its way to the network.
private struct Subject {
    let name: String
    let truth: Int?
    var image: Image?
    var prepared: [Float]?
    var problem: String?

    init(name: String, truth: Int?) {
        self.name = name
        self.truth = truth
    }

    mutating func read(_ body: () throws -> Image) {
        do { image = try body() } catch { problem = error.brief }
    }

    mutating func prepare(_ classifier: Classifier) {
        guard let image else { return }
        do { prepared = try classifier.prepare(image, name: name) } catch { problem = error.brief }
    }
}

/// The names are those other tools read.
private struct ClassifyLine: Encodable {
    struct Prediction: Encodable {
        var index: Int
        var label: String
        var probability: Float
    }

    var file: String
    var truth: String?
    var predictions: [Prediction]?
    /// Of the likeliest class, [left, top, width, height] in pixels of the image.
    var box: BoundingBox?
    var error: String?
}
