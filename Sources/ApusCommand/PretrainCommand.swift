import Apus
import ArgumentParser
import Foundation

struct PretrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pretrain",
        abstract: "Trains an encoder on images without labels (SimCLR, BYOL).",
        discussion: """
            Everything goes into the run folder: the recipe, the metrics and the checkpoint. Ctrl-C \
            leaves a good checkpoint; the same command, or only --out, continues the run. What was \
            learned is measured by `apus probe`.

            Example: apus pretrain --data fashion-mnist --model resnet20-cifar --out runs/simclr
            Example: apus pretrain --method byol --data photos --side 64 --model resnet18-cifar \
            --out runs/byol
            Example: apus pretrain --data photos --side 96 --model resnet18 --batch 4096 \
            --chunk 256 --optimizer lars --out runs/large
            """)

    @Option(
        help: """
            fashion-mnist, mnist:DIR, cifar10:DIR, cifar100:DIR, a folder of images, a pack, a \
            list or archives; labels are not needed.
            """)
    var data: String?

    @Option(help: "The network, whose classifier is left out; `apus models` lists them.")
    var model: String?

    @OptionGroup var output: RunOptions

    @OptionGroup(title: "Recipe") var options: PretrainOptions

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Flag(
        help: """
            Stop at the first image that cannot be read; else the next readable one takes its place \
            and all are listed at the end.
            """)
    var strict = false

    func run() throws {
        decoding.apply()
        let folder = RunFolder(output.out)
        let recipe: PretrainingRecipe
        let source: any ImageSource
        if folder.hasCheckpoint, data == nil, model == nil {
            try requireNothingElse()
            recipe = try PretrainingRecipe(of: folder)
            source = try DataSets.open(recipe.data, split: .train)
        } else {
            guard let data, let model else {
                throw ValidationError(
                    "\(output.out) holds no checkpoint to continue; give --data and --model")
            }
            // A name that is not known is said before images are looked at.
            _ = try Models.named(model)
            source = try DataSets.open(data, split: .train)
            let (preprocessing, shape) = try source.withRemedy(strictRemedy) {
                try Preprocessing.suggested(
                    for: source, name: data, side: output.side, channels: output.channels,
                    skipsBroken: !strict)
            }
            recipe = try options.recipe(
                model: Models.named(model, input: [shape.channels, shape.height, shape.width]),
                data: data, classNames: source.classNames, preprocessing: preprocessing)
        }
        let reporter = PretrainReporter(recipe, folder, isQuiet: output.quiet, isJSON: output.json)
        let baseline = Machine.residentBytes
        let pretrainer = try Pretrainer(
            recipe, folder: folder, source: CachedSource.forSmallImages(source))
        reporter.opening(pretrainer, baseline: baseline)
        Interrupt.install()
        pretrainer.brokenImages = strict ? .stop : .replace
        let isDone = try source.withRemedy(strictRemedy) {
            try pretrainer.run(
                shouldStop: { Interrupt.received != nil }, onEvent: reporter.report)
        }
        reporter.closing(pretrainer, isDone: isDone)
        if !isDone { throw ExitCode(128 + (Interrupt.received ?? 2)) }
    }

    private var strictRemedy: String? {
        strict ? "leave out --strict, which has others take its place" : nil
    }

    /// A run keeps its recipe: whatever else is asked for would go unheard.
    private func requireNothingElse() throws {
        let heard = [
            "--out", "--quiet", "--json", "--strict", "--max-pixels", "--max-bytes", "--max-scans",
            "--max-seconds",
        ]
        for argument in CommandLine.arguments where argument.hasPrefix("--") {
            let name = String(argument.prefix { $0 != "=" })
            if !heard.contains(name) {
                throw ValidationError(
                    "\(output.out) is continued by its own recipe; leave out \(name), or repeat "
                        + "--data and --model")
            }
        }
    }
}
