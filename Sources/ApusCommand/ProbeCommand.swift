import Apus
import ArgumentParser
import Foundation

extension FeatureLayer: ExpressibleByArgument {}

struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Judges what an encoder has learned, by labelled images.",
        discussion: """
            --linear fits a linear classifier to frozen features; its penalty is chosen on a \
            held-out part of the training images. --knn lets the 200 nearest training images vote. \
            --fine-tune trains all weights with some percent of the labels. The test images are \
            read when everything is chosen. Finished parts are kept in --out: the same command \
            goes on where an interrupted one was.

            Example: apus probe runs/simclr --data fashion-mnist
            Example: apus probe runs/simclr --data fashion-mnist --linear --knn \
            --fine-tune 1,10 --seeds 3
            """)

    @OptionGroup var options: ModelOptions

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(help: "Data set or folder with labels. (default: what the run was trained on)")
    var data: String?

    @Flag(help: "Measure with a linear classifier on frozen features.")
    var linear = false

    @Flag(help: "Measure with nearest neighbors. (default: both where nothing is asked for)")
    var knn = false

    @Option(help: "Fine-tune with these percentages of the training labels, such as 1,10,100.")
    var fineTune: String?

    @Option(help: "Repeat what depends on chance so many times, for intervals.")
    var seeds = 1

    @Option(
        help: """
            Compare with: random (the encoder before training), supervised (training from scratch \
            with the same labels and steps), both with a comma between, or none.
            """)
    var baselines = "random,supervised"

    @Option(
        help: "Epochs of training: one number, or one for every percentage. (default: 60,30,10)")
    var epochs: String?

    @Option(help: "Images in a batch of training.")
    var batch = 64

    @Option(help: "Learning rates to choose from on held-out training images.")
    var rates = "0.02,0.1"

    @Option(help: "Which vector to probe: representation (h) or projection (z, behind the head).")
    var layer = FeatureLayer.representation

    @Option(help: "Where results go. (default: probe/ in the run folder)")
    var out: String?

    @Flag(help: "Print events and results on standard output, one JSON object a line.")
    var json = false

    func validate() throws {
        try require(seeds, in: 1...100, "--seeds")
        try require(batch, in: 2...65_536, "--batch")
        _ = try settings("", threads: 1)
    }

    func run() throws {
        decoding.apply()
        let encoder = try options.loadEncoder()
        guard let data = data ?? encoder.data else {
            throw ValidationError(
                "\(options.name) does not say on what it was trained; give --data")
        }
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: options.name, isDirectory: &isFolder)
        guard let folder = out ?? (isFolder.boolValue ? options.name + "/probe" : nil) else {
            throw ValidationError(
                "\(options.name) is not a run folder; say where results go: --out")
        }
        let train = try DataSets.open(data, split: .train)
        let test = try DataSets.open(data, split: .test)
        let prober = try Prober(
            encoder, settings: settings(data, threads: options.configuration.threads),
            train: CachedSource.forSmallImages(train), test: CachedSource.forSmallImages(test),
            folder: folder, configuration: options.configuration)
        let reporter = ProbeReporter(isJSON: json)
        reporter.opening(prober.report, encoder, train: train, test: test)
        Interrupt.install()
        do {
            let report = try prober.run(
                shouldStop: { Interrupt.received != nil }, onEvent: reporter.report)
            try reporter.closing(report, folder)
        } catch is CancellationError {
            reporter.interrupted(prober.report, folder)
            throw ExitCode(128 + (Interrupt.received ?? 2))
        }
    }

    private func settings(_ data: String, threads: Int) throws -> ProbeSettings {
        var settings = ProbeSettings(data: data, threads: threads)
        settings.layer = layer
        settings.fineTune = try list(fineTune, "--fine-tune", Double.init)
        let isUnspecified = !linear && !knn && settings.fineTune.isEmpty
        settings.linear = linear || isUnspecified
        settings.neighbors = knn || isUnspecified
        settings.seeds = (0..<UInt64(seeds)).map(\.self)
        let named = baselines == "none" ? [] : try list(baselines, "--baselines") { $0 }
        if let stranger = named.first(where: { $0 != "random" && $0 != "supervised" }) {
            throw ValidationError(
                "--baselines takes random, supervised or none, not '\(stranger)'")
        }
        settings.comparesRandom = named.contains("random")
        settings.comparesSupervised = named.contains("supervised")
        settings.epochs = epochs == nil ? nil : try list(epochs, "--epochs", { Int($0) })
        settings.batch = batch
        settings.rates = try list(rates, "--rates", Float.init)
        settings.precision = options.configuration.precision
        do {
            try settings.validate()
        } catch {
            throw ValidationError(error.brief)
        }
        return settings
    }

    private func list<Value>(
        _ text: String?, _ option: String, _ parse: (String) -> Value?
    ) throws -> [Value] {
        guard let text else { return [] }
        return try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let value = parse(String(part)) else {
                throw ValidationError("\(option): '\(part)' is not a number")
            }
            return value
        }
    }
}
