import ApusCompiler
import ApusData
import ApusGraph
import ApusTensor

/// Everything that decides the outcome of a training run, as a value: two runs of one recipe on the
/// same machine and threads end with the same bytes.
public struct Recipe: Hashable, Codable, Sendable {
    /// The network, whose input must be what the preprocessing makes.
    public var network: Network
    /// The data set's name or folder, as `DataSets.open` takes it.
    public var data: String
    public var classNames: [String]
    public var preprocessing: Preprocessing
    /// What happens to training images; nil for nothing.
    public var augmentation: Augmentation?

    public var epochs = 10
    public var batch = 128
    public var optimizer = OptimizerRecipe.defaultSGD
    public var learningRate: Float = 0.1
    public var schedule = Schedule.cosine
    /// Epochs of linear rise before the schedule begins.
    public var warmupEpochs: Double = 0
    public var weightDecay: Float = 1e-4
    public var labelSmoothing: Float = 0
    /// The largest norm of all gradients together; nil leaves them as they are.
    public var clip: Float?
    /// The share an exponential moving average of the weights keeps each step, such as 0.999; nil
    /// for none. Evaluation and the final weights use the average.
    public var ema: Float?
    public var seed: UInt64 = 0
    /// Threads of the engine: results are the same bytes only for the same number.
    public var threads: Int
    /// The number format of images; parameters and sums are always 32-bit floats.
    public var precision = Precision.fp32
    /// The weights the run starts from, as they were named; nil for drawn ones.
    public var initial: String?
    /// Which parameters learn, and how fast beside each other.
    public var fineTuning = FineTuning()

    public init(
        network: Network, data: String, classNames: [String], preprocessing: Preprocessing,
        augmentation: Augmentation?, threads: Int
    ) {
        self.network = network
        self.data = data
        self.classNames = classNames
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.threads = threads
    }

    /// Throws a `TrainingError` that names the first setting that makes no sense.
    public func validate() throws {
        func require(_ holds: Bool, _ problem: String) throws {
            if !holds { throw TrainingError(problem) }
        }
        try require(epochs >= 1, "--epochs must be at least 1, not \(epochs)")
        try require(batch >= 1, "--batch must be at least 1, not \(batch)")
        try require(threads >= 1, "--threads must be at least 1, not \(threads)")
        try require(
            learningRate > 0 && learningRate.isFinite,
            "--lr must be a positive number, not \(learningRate)")
        try require(
            warmupEpochs >= 0 && warmupEpochs.isFinite, "--warmup must not be negative")
        try require(
            weightDecay >= 0 && weightDecay.isFinite, "--weight-decay must not be negative")
        try require(
            (0..<1).contains(labelSmoothing),
            "--label-smoothing must be in 0..<1, not \(labelSmoothing)")
        try require(clip.map { $0 > 0 } ?? true, "--clip must be a positive number")
        try require(
            ema.map { (0..<1).contains($0) } ?? true, "--ema must be in 0..<1, such as 0.999")
        try fineTuning.validate()
        try preprocessing.validate()
        try augmentation?.validate()
        let graph = try network.graph(batch: 1, mode: .inference)
        guard let logits = graph.outputs["logits"], graph.shape(logits).rank == 2 else {
            throw TrainingError("\(network.name) does not end in [batch, classes]")
        }
        let outputs = graph.shape(logits)[1]
        try require(
            outputs == classNames.count,
            "\(network.name) has \(outputs) outputs for \(classNames.count) classes")
    }

    /// The names of settings in which another recipe differs.
    func differences(_ other: Recipe) -> [String] {
        var names: [String] = []
        if network != other.network { names.append("network") }
        if data != other.data { names.append("data") }
        if classNames != other.classNames { names.append("classes") }
        if preprocessing != other.preprocessing { names.append("preprocessing") }
        if augmentation != other.augmentation { names.append("augmentation") }
        if epochs != other.epochs { names.append("epochs") }
        if batch != other.batch { names.append("batch") }
        if optimizer != other.optimizer { names.append("optimizer") }
        if learningRate != other.learningRate { names.append("learning rate") }
        if schedule != other.schedule { names.append("schedule") }
        if warmupEpochs != other.warmupEpochs { names.append("warm-up") }
        if weightDecay != other.weightDecay { names.append("weight decay") }
        if labelSmoothing != other.labelSmoothing { names.append("label smoothing") }
        if clip != other.clip { names.append("clipping") }
        if ema != other.ema { names.append("moving average") }
        if seed != other.seed { names.append("seed") }
        if threads != other.threads { names.append("threads") }
        if precision != other.precision { names.append("precision") }
        if initial != other.initial { names.append("starting weights") }
        if fineTuning != other.fineTuning { names.append("fine-tuning") }
        return names
    }
}

extension KeyedDecodingContainer {
    /// Recipes of the first version do not name a precision: there was one.
    func decode(_ type: Precision.Type, forKey key: Key) throws -> Precision {
        try decodeIfPresent(type, forKey: key) ?? .fp32
    }

    /// Nor how they fine-tune: everything was trained alike.
    func decode(_ type: FineTuning.Type, forKey key: Key) throws -> FineTuning {
        try decodeIfPresent(type, forKey: key) ?? FineTuning()
    }
}
