import Apus
import ArgumentParser

extension ModelOptions {
    /// Opens what represents images: a run of pretraining or of supervised training, fetched or bare weights.
    func loadEncoder() throws -> FeatureEncoder {
        let pretrained = try pretrained()
        guard try pretrained != nil || FeatureEncoder.describesItself(name) else {
            return try FeatureEncoder(weights: name, description(data: nil))
        }
        try refuseDescription()
        guard let pretrained else { return try FeatureEncoder(name) }
        return try FeatureEncoder(TrainedModel(pretrained: pretrained), origin: .weights)
    }
}

/// The encoder of commands whose first argument is something else.
struct EncoderOptions: ParsableArguments {
    @Option(
        name: .customLong("with"),
        help: "What represents images: a run folder, or weights: a file or a fetched one's name.")
    var source: String

    @Option(help: "The network of bare weights; `apus models` lists them.")
    var model: String?

    @Option(help: "Mean of every channel, for bare weights: a,b,c. (default: ImageNet's)")
    var mean: String?

    @Option(help: "Deviation of every channel, for bare weights: a,b,c. (default: ImageNet's)")
    var deviation: String?

    @Option(help: "Height and width of the input, for bare weights. (default: the network's)")
    var side: Int?

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Option(help: "Number format of images; auto is the fastest of this CPU.")
    var precision = PrecisionName.fp32

    /// The same in the order of commands that begin with the model.
    private func options() throws -> ModelOptions {
        var arguments = [source, "--precision", precision.rawValue]
        for (value, option) in [
            (model, "--model"), (mean, "--mean"), (deviation, "--deviation"),
            (side.map(String.init), "--side"), (threads.map(String.init), "--threads"),
        ] {
            if let value { arguments += [option, value] }
        }
        return try ModelOptions.parse(arguments)
    }

    func validate() throws {
        try require(side, in: 1...4096, "--side")
        try require(threads, in: 1...1024, "--threads")
        _ = try ModelOptions.numbers(mean, "--mean")
        _ = try ModelOptions.numbers(deviation, "--deviation")
    }

    func loadEncoder() throws -> FeatureEncoder { try options().loadEncoder() }

    func configuration() throws -> Session.Configuration { try options().configuration }
}
