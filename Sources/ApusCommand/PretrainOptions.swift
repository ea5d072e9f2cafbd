import Apus
import ArgumentParser

extension PretrainingRecipe.Method: ExpressibleByArgument {}
extension RateRule: ExpressibleByArgument {}

enum PretrainingOptimizer: String, ExpressibleByArgument, CaseIterable {
    case lars, sgd, adamw
    case larsTimm = "lars-timm"

    var recipe: OptimizerRecipe {
        switch self {
        case .lars: .defaultLARS
        case .larsTimm: .lars(LARS(variant: .timm))
        case .sgd: .defaultSGD
        case .adamw: .defaultAdamW
        }
    }

    /// The decay the optimizer's users take.
    var weightDecay: Float {
        switch self {
        case .lars, .larsTimm: 1e-6
        case .sgd: 5e-4
        case .adamw: 0.01
        }
    }
}

enum LossName: String, ExpressibleByArgument, CaseIterable {
    case ntXent = "nt-xent"
    case ntLogistic = "nt-logistic"
    case margin
    case semiHard = "semi-hard"
    case supervised
}

/// The settings of a pretraining recipe that do not come from the data.
struct PretrainOptions: ParsableArguments {
    @Option(help: "simclr, or byol, which does without negative pairs.")
    var method = PretrainingRecipe.Method.simclr

    @Option(
        help: """
            Random changes of the two views: \(Views.names.prefix(3).joined(separator: ", ")), or \
            single changes with commas between, such as crop,color. (default: simclr-small-images \
            below 64 pixels; else the method's)
            """)
    var views: String?

    @Option(help: "Projection head: \(ProjectionHead.names.joined(separator: ", ")).")
    var head = "mlp-2"

    @Option(help: "Width of the hidden layers of head and predictor.")
    var width = 512

    @Option(help: "Length of the projections.")
    var dimension = 128

    @Option(help: "Loss of simclr.")
    var loss = LossName.ntXent

    @Option(help: "What similarities are divided by.")
    var temperature: Float = 0.5

    @Option(help: "How much nearer a pair shall be, for margin and semi-hard.")
    var margin: Float = 0.4

    @Flag(help: "Take dot products instead of cosines.")
    var withoutNormalization = false

    @Option(help: "Times every image is seen.")
    var epochs = 100

    @Option(help: "Images in a step, each seen in two views.")
    var batch = 256

    @Option(
        help: """
            Images in memory at once: the gradient is that of the whole batch, batch norm sees a \
            chunk. (default: the batch up to 512, else 256)
            """)
    var chunk: Int?

    @Option(help: "lars (google's variant), lars-timm, sgd or adamw.")
    var optimizer = PretrainingOptimizer.sgd

    @Option(help: "How the learning rate grows with the batch: linear or sqrt.")
    var rateRule = RateRule.linear

    @Option(help: "The largest learning rate. (default: by the rule; 0.3 * batch / 256 for lars)")
    var lr: Float?

    @Option(help: "Epochs over which the learning rate rises. (default: a tenth, at most 10)")
    var warmup: Double?

    @Option(help: "Decay of the weights. (default: lars 1e-6, sgd 5e-4, adamw 0.01)")
    var weightDecay: Float?

    @Option(help: "Where the share begins that BYOL's target keeps in a step.")
    var targetMomentum = 0.996

    @Option(help: "Only the first so many images.")
    var limit: Int?

    @Option(
        help: "Probe the frozen encoder on labelled images meanwhile: knn, linear or knn,linear.")
    var online: String?

    @Option(help: "Epochs between two probes.")
    var onlineEvery = 1

    @Option(help: "Decides all random numbers.")
    var seed: UInt64 = 0

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Option(help: "Number format of images: fp32, bf16 or auto, the faster of this CPU.")
    var precision = PrecisionName.fp32

    func validate() throws {
        try require(width, in: 1...65_536, "--width")
        try require(dimension, in: 1...65_536, "--dimension")
        try require(temperature, in: 1e-3...1e6, "--temperature")
        try require(margin, in: 1e-6...1e6, "--margin")
        try require(epochs, in: 1...1_000_000, "--epochs")
        try require(batch, in: 2...65_536, "--batch")
        try require(chunk, in: 2...65_536, "--chunk")
        if let chunk, batch % chunk != 0 {
            throw ValidationError("--chunk must divide the --batch of \(batch), not \(chunk)")
        }
        try require(lr, in: 1e-12...1e6, "--lr")
        try require(warmup, in: 0...Double(epochs), "--warmup")
        try require(weightDecay, in: 0...1e6, "--weight-decay")
        try require(targetMomentum, in: 0...0.999_999, "--target-momentum")
        try require(limit, in: 2...Int.max, "--limit")
        try require(onlineEvery, in: 1...1_000_000, "--online-every")
        _ = try onlineKinds()
        try require(threads, in: 1...1024, "--threads")
        guard ProjectionHead.names.contains(head) else {
            throw ValidationError(
                "--head is one of \(ProjectionHead.names.joined(separator: ", ")), not '\(head)'")
        }
        _ = try augmentations(side: 32)
    }

    /// A set of views by name, or two views of single changes.
    func augmentations(side: Int) throws -> [Augmentation] {
        let usual =
            side < 64 ? "simclr-small-images" : method == .byol ? "byol" : "simclr"
        let name = views ?? usual
        if Views.names.contains(name) {
            let set = try Views.named(name)
            guard set.count == 2 else {
                throw ValidationError("--views \(name) is one view; pretraining needs two")
            }
            return set
        }
        let parts = name.split(separator: ",").map(String.init)
        guard !parts.isEmpty, parts.allSatisfy(Augmentation.operationNames.contains) else {
            throw ValidationError(
                "--views is \(Views.names.prefix(3).joined(separator: ", ")) or some of "
                    + "\(Augmentation.operationNames.joined(separator: ",")), not '\(name)'")
        }
        let one = try Augmentation.composed(of: parts)
        return [one, one]
    }

    private func onlineKinds() throws -> [OnlineProbe.Kind] {
        try (online ?? "").split(separator: ",").map { name in
            guard let kind = OnlineProbe.Kind(rawValue: String(name)) else {
                throw ValidationError("--online takes knn, linear or knn,linear, not '\(name)'")
            }
            return kind
        }
    }

    /// The recipe for a network and its data.
    func recipe(
        model: Network, data: String, classNames: [String], preprocessing: Preprocessing
    ) throws -> PretrainingRecipe {
        // Parts are cut to the size of the input, which images of a folder do not say.
        var preprocessing = preprocessing
        preprocessing.crop =
            preprocessing.crop ?? ImageSize(height: model.input[1], width: model.input[2])
        var recipe = try PretrainingRecipe(
            method, model: model,
            head: ProjectionHead.named(head, width: width, dimension: dimension), width: width,
            data: data, classNames: classNames, preprocessing: preprocessing,
            views: augmentations(side: min(model.input[1], model.input[2])),
            threads: threads ?? Machine.cores)
        recipe.loss =
            switch loss {
            case .ntXent: .ntXent(temperature: temperature)
            case .ntLogistic: .ntLogistic(temperature: temperature)
            case .supervised: .supervised(temperature: temperature)
            case .margin: .margin(margin)
            case .semiHard: .semiHard(margin: margin)
            }
        recipe.normalizes = !withoutNormalization
        recipe.targetMomentum = targetMomentum
        recipe.epochs = epochs
        recipe.batch = batch
        recipe.chunk = chunk ?? (batch <= 512 ? batch : 256)
        recipe.optimizer = optimizer.recipe
        recipe.learningRate =
            lr ?? rateRule.rate(batch: batch, optimizer: optimizer.recipe)
        recipe.warmupEpochs = warmup ?? min(10, Double(epochs) / 10)
        recipe.weightDecay = weightDecay ?? optimizer.weightDecay
        recipe.limit = limit
        let kinds = try onlineKinds()
        if !kinds.isEmpty {
            var probe = OnlineProbe.Recipe()
            probe.kinds = kinds
            probe.interval = onlineEvery
            recipe.online = probe
        }
        recipe.seed = seed
        recipe.precision = precision.precision
        return recipe
    }
}
