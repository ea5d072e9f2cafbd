import Apus
import ArgumentParser
import Foundation

enum OptimizerName: String, ExpressibleByArgument, CaseIterable { case sgd, adamw }

enum ScheduleName: String, ExpressibleByArgument, CaseIterable {
    case constant, step, cosine
    case oneCycle = "one-cycle"

    var schedule: Schedule {
        switch self {
        case .constant: .constant
        case .step: .step(at: [0.5, 0.75], factor: 0.1)
        case .cosine: .cosine
        case .oneCycle: .oneCycle(rise: 0.3)
        }
    }
}

enum AugmentationName: String, ExpressibleByArgument, CaseIterable {
    case none, flip
    case cropFlip = "crop-flip"

    var augmentation: Augmentation? {
        switch self {
        case .none: nil
        case .flip: Augmentation(horizontalFlip: true)
        case .cropFlip: .cropAndFlip
        }
    }
}

/// Throws for numbers outside of what an option takes, in the words of the option.
func require<Value: Comparable>(
    _ value: Value?, in range: ClosedRange<Value>, _ option: String
) throws {
    if let value, !range.contains(value) {
        throw ValidationError(
            "\(option) must be \(range.lowerBound) to \(range.upperBound), not \(value)")
    }
}

/// The settings of a recipe that do not come from the data. None has a default here: what is not
/// given is the recipe's own, or that of the run that is continued.
struct TrainOptions: ParsableArguments {
    @Option(help: "Times every training image is seen. (default: 10)")
    var epochs: Int?

    @Option(help: "Images in a step. (default: 128)")
    var batch: Int?

    @Option(help: "The largest learning rate. (default: 0.1, for adamw 0.001)")
    var lr: Float?

    @Option(help: "How weights are updated. (default: sgd)")
    var optimizer: OptimizerName?

    @Option(help: "Momentum of sgd. (default: 0.9)")
    var momentum: Float?

    @Flag(help: "Use Nesterov's momentum with sgd.")
    var nesterov = false

    @Option(
        help: "How the learning rate moves; step divides by 10 at 1/2 and 3/4. (default: cosine)")
    var schedule: ScheduleName?

    @Option(help: "Epochs over which the learning rate first rises. (default: 0)")
    var warmup: Double?

    @Option(help: "Decay of the weights. (default: 1e-4, for adamw 0.01)")
    var weightDecay: Float?

    @Option(help: "Share of the label given to all classes. (default: 0)")
    var labelSmoothing: Float?

    @Option(help: "The largest norm of all gradients together. (default: no limit)")
    var clip: Float?

    @Option(help: "Average the weights, keeping this share each step, such as 0.999.")
    var ema: Float?

    @Option(help: "Decides all random numbers. (default: 0)")
    var seed: UInt64?

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Option(
        help: "Number format of images: fp32, bf16 or auto, the faster of this CPU. (default: fp32)"
    )
    var precision: PrecisionName?

    @Option(help: "Random changes of training images. (default: none)")
    var augment: AugmentationName?

    func validate() throws {
        try require(epochs, in: 1...1_000_000, "--epochs")
        try require(batch, in: 1...65_536, "--batch")
        try require(lr, in: 1e-12...1e6, "--lr")
        try require(momentum, in: 0...0.99999, "--momentum")
        try require(warmup, in: 0...1_000_000, "--warmup")
        try require(weightDecay, in: 0...1e6, "--weight-decay")
        try require(labelSmoothing, in: 0...0.99999, "--label-smoothing")
        try require(clip, in: 1e-12...1e12, "--clip")
        try require(ema, in: 0...0.999_999, "--ema")
        try require(threads, in: 1...1024, "--threads")
        if optimizer == .adamw, nesterov || momentum != nil {
            throw ValidationError("--momentum and --nesterov are of --optimizer sgd")
        }
    }

    /// Puts what was given into a recipe.
    func apply(to recipe: inout Recipe) {
        if optimizer == .adamw {
            recipe.optimizer = .defaultAdamW
            recipe.learningRate = 1e-3
            recipe.weightDecay = 0.01
        } else if optimizer == .sgd {
            if case .adamW = recipe.optimizer { recipe.optimizer = .defaultSGD }
        }
        if case .sgd(let own, let isNesterov) = recipe.optimizer {
            recipe.optimizer = .sgd(
                momentum: momentum ?? own, nesterov: nesterov || isNesterov)
        }
        recipe.epochs = epochs ?? recipe.epochs
        recipe.batch = batch ?? recipe.batch
        recipe.learningRate = lr ?? recipe.learningRate
        recipe.schedule = schedule?.schedule ?? recipe.schedule
        recipe.warmupEpochs = warmup ?? recipe.warmupEpochs
        recipe.weightDecay = weightDecay ?? recipe.weightDecay
        recipe.labelSmoothing = labelSmoothing ?? recipe.labelSmoothing
        recipe.clip = clip ?? recipe.clip
        recipe.ema = ema ?? recipe.ema
        recipe.seed = seed ?? recipe.seed
        recipe.threads = threads ?? recipe.threads
        recipe.precision = precision?.precision ?? recipe.precision
        if let augment { recipe.augmentation = augment.augmentation }
    }
}
