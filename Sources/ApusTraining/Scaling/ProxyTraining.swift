import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor

/// A short training that stands for a long one when networks are compared: so many steps with a
/// one-cycle rate, then the accuracy on images that were not trained on.
///
/// Networks of another resolution see the same images resized. All see the same ones in the same
/// order and start from the same seed; the score of one run still varies by a few points, and
/// what learns fastest is not always what ends best.
public struct ProxyTraining: Sendable {
    public let train: any ImageSource
    public let test: any ImageSource
    public let preprocessing: Preprocessing
    public var steps = 200
    public var batch = 64
    public var learningRate: Float = 0.05
    /// Test images that are looked at, evenly spaced; in later rounds of a search as many times more as
    /// steps, because what is left differs by less.
    public var testImages = 2000
    public var seed: UInt64 = 0

    public init(train: any ImageSource, test: any ImageSource, preprocessing: Preprocessing) {
        self.train = train
        self.test = test
        self.preprocessing = preprocessing
    }

    /// The share of test images a network recognizes after the training; 0 for one that diverged.
    ///
    /// - Parameter round: of a search, from 0: every round trains `ScalingSearch.reduction` times as long
    ///   as the one before
    public func score(
        _ network: Network, round: Int = 0, configuration: Session.Configuration = .init()
    ) throws -> Double {
        let longer = (0..<round).reduce(1) { times, _ in times * ScalingSearch.reduction }
        let steps = steps * longer
        var preprocessing = preprocessing
        preprocessing.resize = .exact(
            ImageSize(height: network.input[1], width: network.input[2]))
        preprocessing.crop = nil
        let store = ParameterStore(
            try network.graph(batch: batch, mode: .training), seed: seed)
        let session = try Session.training(
            network, batch: batch, parameters: store, configuration: configuration)
        let optimizer = Optimizer(.defaultSGD, weightDecay: 1e-4, for: store)
        var options = LoaderOptions(batchSize: batch)
        options.seed = seed
        options.workers = max(1, min(4, configuration.threads))
        let loader = try Loader(source: train, preprocessing: preprocessing, options: options)
        defer { loader.stop() }
        try loader.requireImages(network.input)
        let schedule = Schedule.oneCycle(rise: 0.3)
        let key = RandomKey(seed: seed).child("proxy")
        do {
            for step in 0..<steps {
                guard let batch = try loader.next() else { break }
                try session.step(
                    images: batch.images, labels: batch.labels, optimizer: optimizer,
                    rate: schedule.rate(base: learningRate, step: step, steps: steps),
                    randomKey: key.child(step))
            }
        } catch is NotFiniteError {
            return 0
        }
        let evaluator = try Evaluator(
            network, parameters: store, batch: batch, configuration: configuration)
        let some = SubsetSource(test, count: testImages * longer)
        return try evaluator.evaluate(some, preprocessing, workers: options.workers).top1
    }
}
