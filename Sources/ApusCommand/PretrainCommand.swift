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

    @Option(help: "The run folder.")
    var out: String

    @OptionGroup(title: "Recipe") var options: PretrainOptions

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(help: "Height and width of the views; images are resized to it for use later.")
    var side: Int?

    @Option(help: "1 for gray, 3 for color. (default: what the images have)")
    var channels: Int?

    @Flag(
        help: """
            Stop at the first image that cannot be read; else the next readable one takes its place \
            and all are listed at the end.
            """)
    var strict = false

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
        decoding.apply()
        let folder = RunFolder(out)
        let recipe: PretrainingRecipe
        let source: any ImageSource
        if folder.hasCheckpoint, data == nil, model == nil {
            recipe = try PretrainingRecipe(of: folder)
            source = try DataSets.open(recipe.data, split: .train)
        } else {
            guard let data, let model else {
                throw ValidationError(
                    "\(out) holds no checkpoint to continue; give --data and --model")
            }
            // A name that is not known is said before images are looked at.
            _ = try Models.named(model)
            source = try DataSets.open(data, split: .train)
            let (preprocessing, shape) = try Preprocessing.suggested(
                for: source, name: data, side: side, channels: channels, skipsBroken: !strict)
            recipe = try options.recipe(
                model: Models.named(model, input: [shape.channels, shape.height, shape.width]),
                data: data, classNames: source.classNames, preprocessing: preprocessing)
        }
        let reporter = PretrainReporter(recipe, folder, isQuiet: quiet, isJSON: json)
        let baseline = Machine.residentBytes
        let pretrainer = try Pretrainer(
            recipe, folder: folder, source: CachedSource.forSmallImages(source))
        reporter.opening(pretrainer, baseline: baseline)
        Interrupt.install()
        pretrainer.brokenImages = strict ? .stop : .replace
        let isDone = try pretrainer.run(
            shouldStop: { Interrupt.received != nil }, onEvent: reporter.report)
        reporter.closing(pretrainer, isDone: isDone)
        if !isDone { throw ExitCode(128 + (Interrupt.received ?? 2)) }
    }
}
