import Apus
import ArgumentParser

/// What is needed to use a network: the run folder says it all, bare weights only their numbers.
struct ModelOptions: ParsableArguments {
    @Argument(help: "A run folder, or a file of weights (.safetensors, .pth).")
    var source: String

    @Option(help: "The network of bare weights; `apus models` lists them.")
    var model: String?

    @Option(help: "Mean of every channel, for bare weights: a,b,c. (default: ImageNet's)")
    var mean: String?

    @Option(help: "Deviation of every channel, for bare weights: a,b,c. (default: ImageNet's)")
    var deviation: String?

    @Option(help: "Height and width of the input, for bare weights. (default: the data's)")
    var side: Int?

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Option(help: "Number format of images; auto is the fastest of this CPU.")
    var precision = PrecisionName.fp32

    func validate() throws {
        try require(side, in: 1...4096, "--side")
        try require(threads, in: 1...1024, "--threads")
        _ = try Self.numbers(mean, "--mean")
        _ = try Self.numbers(deviation, "--deviation")
    }

    static func numbers(_ text: String?, _ option: String) throws -> [Float]? {
        guard let text else { return nil }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Float($0) }
        guard values.count == parts.count, values.count == 1 || values.count == 3 else {
            throw ValidationError(
                "\(option) takes one number or three with commas between, not '\(text)'")
        }
        return values
    }

    var configuration: Session.Configuration {
        var configuration = Session.Configuration()
        if let threads { configuration.threads = threads }
        configuration.precision = precision.precision
        return configuration
    }

    /// Opens it; `data` tells bare weights the classes and the size of the images.
    func load(data: (any ImageSource)?) throws -> TrainedModel {
        if try TrainedModel.describesItself(source) {
            for (value, option) in [
                (model, "--model"), (mean, "--mean"), (deviation, "--deviation"),
                (side.map(String.init), "--side"),
            ] where value != nil {
                throw ValidationError("\(source) describes itself; leave out \(option)")
            }
            return try TrainedModel(source)
        }
        guard let model else {
            throw ValidationError(
                "\(source) holds weights alone; say which network they are of with --model")
        }
        var description = TrainedModel.Description(model: model)
        description.mean = try Self.numbers(mean, "--mean")
        description.deviation = try Self.numbers(deviation, "--deviation")
        description.side = side
        description.classNames = data?.classNames
        description.imageShape = data?.imageShape
        return try TrainedModel(weights: source, description)
    }

    /// Opens a split of `name`, or of the data of the run.
    func openData(_ name: String?, split: Split) throws -> any ImageSource {
        if let name { return try DataSets.open(name, split: split) }
        guard try TrainedModel.describesItself(source) else {
            throw ValidationError("\(source) does not say on what it was trained; give --data")
        }
        return try DataSets.open(TrainedModel(source).recipe?.data ?? "", split: split)
    }
}
