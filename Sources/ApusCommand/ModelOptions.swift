import Apus
import ArgumentParser
import Foundation

/// What is needed to use a network: the run folder says it all, bare weights only their numbers.
struct ModelOptions: ParsableArguments {
    @Argument(help: "A run folder, or a file of weights (.safetensors, .pth).")
    var source = ""

    @Option(help: "Instead of a source, fetched weights by name; `apus weights` lists them.")
    var weights: String?

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

    /// What is used, as the user calls it.
    var name: String { weights ?? source }

    /// The arguments behind the source: with --weights there is none, and the first is one of them.
    func following(_ arguments: [String]) -> [String] {
        weights == nil || source.isEmpty ? arguments : [source] + arguments
    }

    /// The entry of the registry that is meant; nil for a path.
    func pretrained() throws -> PretrainedWeights? {
        let exists = FileManager.default.fileExists(atPath: name)
        if exists, weights == nil { return nil }
        let known = PretrainedWeights.named(name)
        guard known != nil || exists || weights == nil else {
            let names = PretrainedWeights.all.map(\.name).joined(separator: ", ")
            throw ValidationError("there are no weights called '\(name)', only \(names)")
        }
        return known
    }

    func validate() throws {
        if weights == nil, source.isEmpty {
            throw ValidationError("give a run folder, a file of weights, or --weights")
        }
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
        let pretrained = try pretrained()
        if try pretrained != nil || TrainedModel.describesItself(name) {
            try refuseDescription()
            return try pretrained.map { try TrainedModel(pretrained: $0) } ?? TrainedModel(name)
        }
        return try TrainedModel(weights: name, description(data: data))
    }

    /// What describes itself takes no other description.
    func refuseDescription() throws {
        for (value, option) in [
            (model, "--model"), (mean, "--mean"), (deviation, "--deviation"),
            (side.map(String.init), "--side"),
        ] where value != nil {
            throw ValidationError("\(name) describes itself; leave out \(option)")
        }
    }

    /// What is said of bare weights; `data` tells the classes and the size of the images.
    func description(data: (any ImageSource)?) throws -> TrainedModel.Description {
        guard let model else {
            throw ValidationError(
                "\(name) holds weights alone; say which network they are of with --model")
        }
        var description = TrainedModel.Description(model: model)
        description.mean = try Self.numbers(mean, "--mean")
        description.deviation = try Self.numbers(deviation, "--deviation")
        description.side = side
        description.classNames = data?.classNames
        description.imageShape = data?.imageShape
        return description
    }

    /// How the tensors of the file compare with the network's.
    func parity() throws -> ParityReport {
        let pretrained = try pretrained()
        let path = try pretrained?.file() ?? name
        let model = model ?? pretrained?.model
        guard try model != nil || TrainedModel.describesItself(path) else {
            throw ValidationError("\(name) holds weights alone; say of which network with --model")
        }
        return try TrainedModel.parity(of: path, model: model)
    }

    /// Opens a split of `data`, or of the data of the run.
    func openData(_ data: String?, split: Split) throws -> any ImageSource {
        if let data { return try DataSets.open(data, split: split) }
        guard try pretrained() == nil, try TrainedModel.describesItself(name),
            let own = try TrainedModel(name).recipe?.data
        else {
            throw ValidationError("\(name) does not say on what it was trained; give --data")
        }
        return try DataSets.open(own, split: split)
    }
}
