import Apus
import ArgumentParser
import Foundation

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Trains a network on labelled images.",
        discussion: """
            Everything goes into the run folder: the recipe, the metrics and the checkpoint. Ctrl-C \
            leaves a good checkpoint; the same command, or only --out, continues the run.

            Example: apus train --data fashion-mnist --model resnet20-cifar --epochs 10 \
            --out runs/first
            Example: apus train --data photos --side 64 --model resnet18-cifar --augment crop-flip \
            --out runs/photos
            Example: apus train --data photos.apack --validation 0.1 --side 224 --model resnet18 \
            --out runs/photos
            Example: apus train --out runs/first
            Example: apus train --data photos --side 64 --model resnet18-cifar --from runs/photos \
            --freeze all-but-head --out runs/tuned
            """)

    @Option(
        help: """
            fashion-mnist, mnist:DIR, cifar10:DIR, cifar100:DIR, a folder of class folders, a list \
            with labels (.csv, .jsonl, .txt), .tar archives (shard-{000..012}.tar), or a .apack file.
            """)
    var data: String?

    @Option(
        help: """
            Hold out this share of the training images for testing, such as 0.1: the same ones \
            every time, chosen by their names.
            """)
    var validation: Double?

    @Flag(
        help: "Replace images that cannot be read by others and list them; else they stop the run.")
    var skipBroken = false

    @Option(help: "The network; `apus models` lists them.")
    var model: String?

    @OptionGroup var output: RunOptions
    @OptionGroup(title: "Recipe") var options: TrainOptions
    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(
        name: [.customLong("from"), .customLong("init")],
        help: """
            Start from these weights: a run folder or a file. The classifier is drawn anew where the \
            classes differ; images are normalized as a run's were.
            """)
    var initial: String?

    @OptionGroup(title: "Fine-tuning") var fineTuning: FineTuneOptions

    @Option(
        help: """
            What to compute again for the gradients instead of keeping it: none, the passes over \
            memory of large programs (auto), or cheap convolutions too (all). Less memory for a \
            little more time, and the same results.
            """)
    var recompute = Recomputation.Policy.auto

    func validate() throws {
        try require(validation, in: 0.001...0.999, "--validation")
        if validation != nil, data == nil { throw ValidationError("--validation goes with --data") }
        if output.side ?? output.channels != nil, data == nil {
            throw ValidationError("--side and --channels go with --data: a run keeps its own")
        }
    }

    func run() throws {
        decoding.apply()
        let folder = RunFolder(output.out)
        let recipe: Recipe
        let train: any ImageSource
        if folder.hasCheckpoint, data == nil, model == nil {
            var saved = try Checkpoint.recipe(of: folder)
            options.apply(to: &saved)
            fineTuning.apply(to: &saved)
            recipe = saved
            train = try DataSets.open(recipe.data, split: .train)
        } else {
            guard let name = data, let model else {
                throw ValidationError(
                    "\(output.out) holds no checkpoint to continue; give --data and --model")
            }
            let data = validation.map { "validation=\($0):\(name)" } ?? name
            train = try DataSets.open(data, split: .train)
            try train.requireClasses(name)
            recipe = try train.withRemedy(skipRemedy) { try makeRecipe(data, model, train) }
        }
        let test = try DataSets.openTest(recipe.data)
        let reporter = TrainReporter(
            recipe, folder, evaluates: test != nil, isQuiet: output.quiet, isJSON: output.json)
        reporter.hints()
        var left: [String] = []
        var configuration = Session.Configuration()
        configuration.recomputation = recompute
        let trainer = try Trainer(
            recipe, folder: folder, train: CachedSource.forSmallImages(train),
            test: test.map { try CachedSource.forSmallImages($0) },
            initial: initial.map { path in { left = try $0.start(from: path) } },
            configuration: configuration)
        reporter.opening(trainer, train: train, test: test, initial: initial, left: left)
        Interrupt.install()
        trainer.brokenImages = skipBroken ? .replace : .stop
        let outcome = try train.withRemedy(skipRemedy) {
            try trainer.run(
                shouldStop: { Interrupt.received != nil }, onEvent: reporter.report)
        }
        try reporter.closing(trainer, outcome)
        if outcome == .interrupted { throw ExitCode(128 + (Interrupt.received ?? 2)) }
    }

    private var skipRemedy: String? {
        skipBroken ? nil : "replace such images by others with --skip-broken"
    }

    private func makeRecipe(
        _ data: String, _ model: String, _ train: any ImageSource
    ) throws -> Recipe {
        // A name that is not known is said before images are looked at.
        _ = try Models.named(model)
        var (preprocessing, shape) = try Preprocessing.suggested(
            for: train, name: data, side: output.side, channels: output.channels,
            skipsBroken: skipBroken)
        if let initial {
            // What the weights have learned is in the units of their own images.
            let own = try TrainedModel.preprocessing(of: initial)
            if let own, own.channels == preprocessing.channels {
                preprocessing.mean = own.mean
                preprocessing.deviation = own.deviation
            }
        }
        let network = try Models.named(
            model, input: shape.input, classes: train.classNames.count)
        var recipe = Recipe(
            network: network, data: data, classNames: train.classNames,
            preprocessing: preprocessing, augmentation: nil, threads: Machine.cores)
        options.apply(to: &recipe)
        fineTuning.apply(to: &recipe)
        recipe.initial = initial
        return recipe
    }
}
