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
            Example: apus train --out runs/first
            Example: apus train --data photos --side 64 --model resnet18-cifar --from runs/photos \
            --freeze all-but-head --out runs/tuned
            """)

    @Option(
        help: """
            fashion-mnist, mnist:DIR, cifar10:DIR, cifar100:DIR, or a folder of class folders.
            """)
    var data: String?

    @Option(help: "The network; `apus models` lists them.")
    var model: String?

    @Option(help: "The run folder.")
    var out: String

    @OptionGroup(title: "Recipe") var options: TrainOptions

    @Option(help: "Resize the short side of images to this and take the square in the center.")
    var side: Int?

    @Option(help: "1 for gray, 3 for color. (default: what the images have)")
    var channels: Int?

    @Option(
        name: [.customLong("from"), .customLong("init")],
        help: """
            Start from these weights: a run folder or a file. The classifier is drawn anew where the \
            classes differ; images are normalized as a run's were.
            """)
    var initial: String?

    @OptionGroup(title: "Fine-tuning") var fineTuning: FineTuneOptions

    @Flag(
        help: """
            Compute cheap values again for the gradients instead of keeping them: about half the \
            memory for a little more time, and the same results.
            """)
    var recompute = false

    @Flag(help: "Print only errors.")
    var quiet = false

    @Flag(help: "Print events on standard output, one JSON object a line.")
    var json = false

    func validate() throws {
        try require(side, in: 1...4096, "--side")
        if let channels, channels != 1, channels != 3 {
            throw ValidationError("--channels must be 1 or 3, not \(channels)")
        }
        if out.isEmpty { throw ValidationError("--out needs the name of a folder") }
    }

    func run() throws {
        let folder = RunFolder(out)
        let recipe: Recipe
        let train: any ImageSource
        if folder.hasCheckpoint, data == nil, model == nil {
            var saved = try Checkpoint.recipe(of: folder)
            options.apply(to: &saved)
            fineTuning.apply(to: &saved)
            recipe = saved
            train = try DataSets.open(recipe.data, split: .train)
        } else {
            guard let data, let model else {
                throw ValidationError(
                    "\(out) holds no checkpoint to continue; give --data and --model")
            }
            train = try DataSets.open(data, split: .train)
            recipe = try makeRecipe(data, model, train)
        }
        let test = try DataSets.openTest(recipe.data)
        let reporter = TrainReporter(
            recipe, folder, evaluates: test != nil, isQuiet: quiet, isJSON: json)
        reporter.hints()
        var left: [String] = []
        var configuration = Session.Configuration()
        configuration.recomputes = recompute
        let trainer = try Trainer(
            recipe, folder: folder, train: train, test: test,
            initial: initial.map { path in { left = try $0.start(from: path) } },
            configuration: configuration)
        reporter.opening(trainer, train: train, test: test, initial: initial, left: left)
        Interrupt.install()
        let outcome = try trainer.run(
            shouldStop: { Interrupt.received != nil }, onEvent: reporter.report)
        try reporter.closing(trainer, outcome)
        if outcome == .interrupted { throw ExitCode(128 + (Interrupt.received ?? 2)) }
    }

    private func makeRecipe(
        _ data: String, _ model: String, _ train: any ImageSource
    ) throws -> Recipe {
        // A name that is not known is said before images are looked at.
        _ = try Models.named(model)
        var (preprocessing, shape) = try Preprocessing.suggested(
            for: train, name: data, side: side, channels: channels)
        if let initial, try TrainedModel.describesItself(initial) {
            // What the weights have learned is in the units of their own images.
            let own = try TrainedModel(initial).preprocessing
            if own.channels == preprocessing.channels {
                preprocessing.mean = own.mean
                preprocessing.deviation = own.deviation
            }
        }
        let network = try Models.named(
            model, input: [shape.channels, shape.height, shape.width],
            classes: train.classNames.count)
        var recipe = Recipe(
            network: network, data: data, classNames: train.classNames,
            preprocessing: preprocessing, augmentation: nil, threads: Machine.cores)
        options.apply(to: &recipe)
        fineTuning.apply(to: &recipe)
        recipe.initial = initial
        return recipe
    }
}
