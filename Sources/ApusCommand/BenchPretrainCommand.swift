import Apus
import ArgumentParser
import Foundation

struct BenchPretrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pretrain",
        abstract: "Times steps of SimCLR, and what making their views takes from them.",
        discussion: """
            Steps that get new views while others are made, as in a run, take turns with steps that \
            get the same views again while nothing else is done.
            Example: apus bench pretrain --data cifar10:DIR --model resnet18-cifar --batch 256
            """)

    @Option(help: "A data set as for pretraining.")
    var data: String

    @Option(help: "The network; `apus models` lists them.")
    var model = "resnet18-cifar"

    @Option(help: "Height and width of the views. (default: those of the images)")
    var side: Int?

    @Option(help: "Images in a step, each seen in two views.")
    var batch = 256

    @Option(help: "Timed steps of each kind, after one that is not.")
    var steps = 10

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Option(help: "Number format of images.")
    var precision = PrecisionName.fp32

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Result: Encodable {
        let data: String
        let model: String
        let batch: Int
        let threads: Int
        let steps: Int
        let fed_ms: Double
        let repeated_ms: Double
        /// How much longer a fed step takes.
        let loading_percent: Double
        /// Of a fed step.
        let wait_ms: Double
    }

    func validate() throws {
        try require(side, in: 1...4096, "--side")
        try require(batch, in: 2...65_536, "--batch")
        try require(steps, in: 1...1_000_000, "--steps")
        try require(threads, in: 1...1024, "--threads")
    }

    func run() throws {
        decoding.apply()
        _ = try Models.named(model)
        let source = try DataSets.open(data, split: .train)
        let (preprocessing, shape) = try Preprocessing.suggested(
            for: source, name: data, side: side, skipsBroken: true)
        // What `apus pretrain` does where nothing else is asked for.
        var options = try PretrainOptions.parse([])
        options.batch = batch
        options.threads = threads
        options.precision = precision
        let recipe = try options.recipe(
            model: Models.named(model, input: [shape.channels, shape.height, shape.width]),
            data: data, classNames: source.classNames, preprocessing: preprocessing)
        guard source.count >= batch else {
            throw CommandError("\(data) has \(source.count) images; give --batch no more than that")
        }
        let cost = try LoadingCost(
            recipe, source: CachedSource.forSmallImages(source), steps: steps)
        let result = Result(
            data: data, model: model, batch: batch, threads: recipe.threads, steps: steps,
            fed_ms: LoadingCost.median(cost.fed), repeated_ms: LoadingCost.median(cost.repeated),
            loading_percent: cost.percent, wait_ms: LoadingCost.median(cost.waits))
        if json { return try printJSON(result) }
        print(
            String(
                format: "%@ batch %d, %d threads: %.1f ms a step, %.1f ms with the same views "
                    + "again; making views takes %.1f %%", model, batch, recipe.threads,
                result.fed_ms,
                result.repeated_ms, result.loading_percent))
    }
}
