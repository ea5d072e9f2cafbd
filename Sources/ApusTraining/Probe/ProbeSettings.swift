import ApusCompiler
import ApusData

/// What a probe measures and how.
public struct ProbeSettings: Hashable, Codable, Sendable {
    /// The data set, as `DataSets.open` takes it.
    public var data: String
    public var layer = FeatureLayer.representation
    public var linear = true
    public var neighbors = true
    /// Percentages of the training labels to fine-tune with; empty for none.
    public var fineTune: [Double] = []
    /// One measurement each: the seed decides what is held out, which labels are seen, the order
    /// of training images, and the weights of networks that are drawn.
    public var seeds: [UInt64] = [0]
    /// Whether the same is measured of the encoder as it was before training.
    public var comparesRandom = true
    /// Whether training from scratch is compared with fine-tuning: the same labels, steps and
    /// augmentation.
    public var comparesSupervised = true

    /// Epochs of fine-tuning by percentage; nil for `usualEpochs`.
    public var epochs: [Int]?
    public var batch = 64
    /// Learning rates to choose from on held-out training images, each way of training for itself.
    public var rates: [Float] = [0.02, 0.1]
    public var threads: Int
    public var precision = Precision.fp32

    public init(data: String, threads: Int) {
        self.data = data
        self.threads = threads
    }

    /// More rounds for fewer labels, as in SimCLR: 60 with 1 %, 30 with 10 %; with all labels 10.
    public static func usualEpochs(_ percent: Double) -> Int {
        percent <= 1 ? 60 : percent <= 10 ? 30 : 10
    }

    func epochs(_ percent: Double) -> Int {
        guard let epochs, let place = fineTune.firstIndex(of: percent) else {
            return Self.usualEpochs(percent)
        }
        return epochs.count == 1 ? epochs[0] : epochs[place]
    }

    /// Throws a `TrainingError` that names the first setting that makes no sense.
    public func validate() throws {
        func require(_ holds: Bool, _ problem: String) throws {
            if !holds { throw TrainingError(problem) }
        }
        try require(
            linear || neighbors || !fineTune.isEmpty,
            "there is nothing to measure; give --linear, --knn or --fine-tune")
        try require(
            fineTune.allSatisfy { $0 > 0 && $0 <= 100 } && Set(fineTune).count == fineTune.count,
            "--fine-tune takes different percentages above 0 and up to 100")
        try require(!seeds.isEmpty, "--seeds must be at least 1")
        try require(
            epochs.map { $0.count == 1 || $0.count == fineTune.count } ?? true,
            "--epochs takes one number, or one for every percentage of --fine-tune")
        try require(epochs?.allSatisfy { $0 >= 1 } ?? true, "--epochs must be at least 1")
        try require(batch >= 2, "--batch must be at least 2, not \(batch)")
        try require(
            !rates.isEmpty && rates.allSatisfy { $0 > 0 && $0.isFinite },
            "--rates takes positive numbers")
    }

    /// What decides the numbers of a part that both settings have, in which another differs.
    func differences(_ other: ProbeSettings) -> [String] {
        var names: [String] = []
        if data != other.data { names.append("data") }
        if layer != other.layer { names.append("layer") }
        if fineTune.contains(where: {
            other.fineTune.contains($0) && epochs($0) != other.epochs($0)
        }) {
            names.append("epochs")
        }
        if batch != other.batch { names.append("batch") }
        if rates != other.rates { names.append("rates") }
        if seeds.first != other.seeds.first { names.append("first seed") }
        if threads != other.threads { names.append("threads") }
        if precision != other.precision { names.append("precision") }
        return names
    }
}
