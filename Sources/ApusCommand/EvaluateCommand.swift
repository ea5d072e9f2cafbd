import Apus
import ArgumentParser
import Foundation

extension Split: ExpressibleByArgument {}

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measures a trained network on labelled images.",
        discussion: """
            Example: apus evaluate runs/first --confusion
            Example: apus evaluate resnet18.pth --model resnet18 --data photos
            """)

    @OptionGroup var options: ModelOptions
    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(help: "Data set or folder. (default: what the run was trained on)")
    var data: String?

    @Option(help: "Which part of the data.")
    var split = Split.test

    @Option(help: "Images in a batch.")
    var batch = 128

    @Flag(help: "Print which classes were taken for which.")
    var confusion = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        try require(batch, in: 1...65_536, "--batch")
        if !options.following([]).isEmpty {
            throw ValidationError("give a source or --weights, one of them")
        }
    }

    func run() throws {
        decoding.apply()
        let source = try options.openData(data, split: split)
        try source.requireClasses(data ?? "the data")
        let model = try options.load(data: source)
        guard model.classNames.count == source.classNames.count else {
            throw CommandError(
                "\(options.name) knows \(model.classNames.count) classes, the data has "
                    + "\(source.classNames.count); choose the data it was trained on with --data")
        }
        let evaluator = try Evaluator(
            model.network, parameters: model.parameters, batch: min(batch, source.count),
            configuration: options.configuration)
        let loader = try Loader(
            source: source, preprocessing: model.preprocessing,
            options: .evaluation(
                batchSize: evaluator.batch, workers: min(options.configuration.threads, 16)))
        defer { loader.stop() }
        let expected = model.network.input
        let shape = loader.imageShape
        guard expected == shape.input else {
            throw CommandError(
                "\(data ?? "the data") has images of \(shape), \(options.name) takes \(expected); "
                    + "choose the data it was trained on with --data")
        }
        let status = StatusLine()
        let clock = ContinuousClock()
        let start = clock.now
        let result = try evaluator.evaluate(loader) { done in
            if !json {
                let share = Double(done) / Double(source.count)
                status.update("\(StatusLine.bar(share)) \(done) of \(source.count) images")
            }
        }
        status.clear()
        let seconds = (clock.now - start) / .seconds(1)
        if json {
            try printJSON(EvaluationLine(model, result, seconds))
        } else {
            report(model, result, seconds)
        }
    }

    private func report(_ model: TrainedModel, _ result: Evaluation, _ seconds: Double) {
        print(
            "top-1 \(Readable.percent(result.top1)) +- "
                + "\(Readable.percent(result.top1Uncertainty)) (95 % interval)  "
                + (model.classNames.count > 5 ? "top-5 \(Readable.percent(result.top5))  " : "")
                + String(format: "loss %.4f  ", result.loss)
                + "\(result.images) images in \(Readable.duration(seconds)) "
                + String(format: "(%.0f/s)", Double(result.images) / seconds))
        print()
        var table = Table(
            ("class", .left), ("images", .right), ("recall", .right), ("precision", .right))
        for (label, name) in model.classNames.enumerated() {
            table.add(
                name, String(result.confusion[label].reduce(0, +)),
                result.recall(label).map { Readable.percent($0, digits: 1) } ?? "-",
                result.precision(label).map { Readable.percent($0, digits: 1) } ?? "-")
        }
        table.print()
        guard confusion else { return }
        print()
        if model.classNames.count > 20 {
            var table = Table(("class", .left), ("taken for", .left), ("images", .right))
            for pair in result.mistakes.prefix(30) {
                table.add(
                    model.classNames[pair.label], model.classNames[pair.prediction],
                    String(pair.images))
            }
            table.print()
        } else {
            var table = Table(
                columns: [("class \\ taken for", .left)]
                    + model.classNames.map { (String($0.prefix(11)), .right) })
            for (name, row) in zip(model.classNames, result.confusion) {
                table.add(row: [name] + row.map { $0 == 0 ? "." : String($0) })
            }
            table.print()
        }
    }
}

/// The names are those other tools read.
private struct EvaluationLine: Encodable {
    struct Class: Encodable {
        var name: String
        var images: Int
        var recall: Double?
        var precision: Double?
    }

    var model: String
    var images: Int
    var top1: Double
    var top1_uncertainty: Double
    var top5: Double
    var loss: Double
    var seconds: Double
    var classes: [Class]
    var confusion: [[Int]]

    init(_ model: TrainedModel, _ result: Evaluation, _ seconds: Double) {
        self.model = model.network.name
        images = result.images
        top1 = result.top1
        top1_uncertainty = result.top1Uncertainty
        top5 = result.top5
        loss = result.loss
        self.seconds = seconds
        classes = model.classNames.enumerated().map { label, name in
            Class(
                name: name, images: result.confusion[label].reduce(0, +),
                recall: result.recall(label), precision: result.precision(label))
        }
        confusion = result.confusion
    }
}
