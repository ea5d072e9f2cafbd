import ApusData
import ApusRuntime
import ApusTensor
import CKernels
import Foundation

/// What a trainer tells whoever watches.
public enum TrainingEvent: Sendable {
    /// Preparation is done; the run starts at this step of so many, with so many bytes of memory.
    case started(step: Int, steps: Int, bytes: Int)
    /// A step is done.
    case step(StepReport)
    /// The network was evaluated on the test set.
    case evaluated(epoch: Int, Evaluation)
}

/// One step as seen from outside.
public struct StepReport: Hashable, Sendable {
    /// Steps taken, of so many.
    public let step: Int
    public let steps: Int
    public let epoch: Int
    public let epochs: Int
    /// Means since the last line of metrics.
    public let loss: Double
    public let accuracy: Double
    public let imagesPerSecond: Double
    /// Seconds until the end at the present rate.
    public let secondsLeft: Double
    /// The share of time spent waiting for the loader.
    public let loaderShare: Double
}

/// How a run ended.
public enum TrainingOutcome: Hashable, Sendable {
    case finished(Evaluation?)
    /// Asked to stop; the checkpoint is written.
    case interrupted
}

/// Trains by a recipe into a run folder, from the start or from the last checkpoint: a run that was
/// killed at any moment and continued ends with the same bytes as one that was not.
public final class Trainer {
    public let recipe: Recipe
    public let folder: RunFolder
    public let parameters: ParameterStore
    public var progress: Progress { loop.progress }
    public let stepsPerEpoch: Int
    /// What happens to training images that cannot be read.
    public var brokenImages = BrokenImages.stop
    /// Makes the training images, while the run goes and afterwards.
    public private(set) var loader: Loader?
    /// How many numbers of the network are not trained.
    public let frozenCount: Int

    private let session: Session
    private let optimizer: Optimizer
    private let average: ParameterStore?
    private let evaluator: Evaluator?
    private let train: any ImageSource
    private let test: (any ImageSource)?
    private let loop: RunLoop

    /// Opens or makes the run folder and prepares everything.
    ///
    /// - Parameters:
    ///   - initial: weights to start from instead of drawing them; ignored when the run continues
    ///   - test: what to evaluate after every epoch
    ///   - configuration: of the engine; the recipe decides on the threads, and the choices of a
    ///     run that continues go before those given here
    public init(
        _ recipe: Recipe, folder: RunFolder, train: any ImageSource, test: (any ImageSource)?,
        initial: ((ParameterStore) throws -> Void)? = nil,
        configuration: Session.Configuration = .init()
    ) throws {
        try recipe.validate()
        for source in [train, test].compactMap(\.self)
        where source.classNames.count != recipe.classNames.count {
            throw TrainingError(
                "the data has \(source.classNames.count) classes, the recipe "
                    + "\(recipe.classNames.count); train and test on data of the same classes")
        }
        self.recipe = recipe
        self.folder = folder
        self.train = train
        self.test = test
        stepsPerEpoch = train.count / recipe.batch
        guard stepsPerEpoch >= 1 else {
            throw TrainingError(
                "a batch of \(recipe.batch) is larger than the \(train.count) training images; "
                    + "choose a smaller --batch")
        }
        let graph = try recipe.network.graph(batch: recipe.batch, mode: .training)
        parameters = ParameterStore(graph, seed: recipe.seed)
        let factors = try recipe.fineTuning.rateFactors(recipe.network)
        let frozen = Set(factors.filter { $0.value == 0 }.keys)
        frozenCount = parameters.parameters.filter { frozen.contains($0.name) }
            .map(\.shape.count).reduce(0, +)
        optimizer = Optimizer(
            recipe.optimizer, weightDecay: recipe.weightDecay, rateFactors: factors,
            for: parameters)
        average = recipe.ema == nil ? nil : ParameterStore(graph, seed: recipe.seed)

        var progress = Progress()
        if folder.hasCheckpoint {
            let path = folder.checkpointPath
            let (file, saved) = try Checkpoint.open(path, recipe)
            try parameters.load(file, from: path)
            try average?.load(file, prefix: "ema.", from: path)
            try optimizer.restore(file, from: path)
            optimizer.stepCount = saved.step
            progress = saved
        } else {
            try initial?(parameters)
            average?.copy(parameters)
        }
        var configuration = configuration
        configuration.threads = recipe.threads
        configuration.precision = recipe.precision
        configuration.choices.merge(progress.choices) { _, saved in saved }
        session = try Session.training(
            recipe.network, batch: recipe.batch, parameters: parameters,
            smoothing: recipe.labelSmoothing, frozen: frozen, configuration: configuration)
        progress.choices = session.choices
        evaluator =
            try test == nil
            ? nil
            : Evaluator(
                recipe.network, parameters: average ?? parameters, batch: recipe.batch,
                configuration: configuration)
        // Evaluations must not round differently after a restart either.
        progress.choices.merge(evaluator?.choices ?? [:]) { chosen, _ in chosen }
        try folder.create()
        loop = try RunLoop(
            progress, folder: folder, epochs: recipe.epochs,
            stepsPerEpoch: stepsPerEpoch, images: recipe.batch)
        if !folder.hasCheckpoint {
            try folder.write(recipe)
            // From the first step on there is something to continue from, with the choices made.
            try save()
        }
    }

    /// Bytes of weights, gradients, optimizer state, activations and scratch.
    public var memoryBytes: Int {
        session.workspaceBytes + parameters.byteCount + optimizer.byteCount
            + (average?.byteCount ?? 0)
    }

    /// Runs to the end, saving every `saveInterval` seconds and after every epoch.
    ///
    /// `shouldStop` is asked after every step; when it says yes, the state is saved and the run
    /// returns. Throws a `NotFiniteError` with the last good checkpoint in place.
    public func run(
        saveInterval: Double = 60, shouldStop: () -> Bool = { false },
        onEvent: (TrainingEvent) -> Void = { _ in }
    ) throws -> TrainingOutcome {
        var options = LoaderOptions(batchSize: recipe.batch)
        options.seed = recipe.seed
        options.start = LoaderPosition(epoch: progress.epoch, batch: progress.batch)
        options.endEpoch = recipe.epochs
        options.workers = max(1, min(4, recipe.threads))
        options.brokenImages = brokenImages
        options.measuresStages = true
        onEvent(.started(step: progress.step, steps: loop.steps, bytes: memoryBytes))
        var last: Evaluation?
        // Given weights are worth something before the first step.
        let isBetweenEpochs =
            progress.batch == 0 && (progress.epoch > 0 || recipe.initial != nil)
        let isFinished = progress.epoch >= recipe.epochs
        if isBetweenEpochs, isFinished || loop.metrics.lastEvaluation?.step != progress.step {
            // The run was stopped between an epoch and its evaluation, or is only looked at again.
            last = try evaluate(onEvent)
        }
        if isFinished { return .finished(last) }
        let loader = try Loader(
            source: train, preprocessing: recipe.preprocessing,
            augmentation: recipe.augmentation, options: options)
        defer { loader.stop() }
        self.loader = loader
        try loader.requireImages(recipe.network.input)
        let key = RandomKey(seed: recipe.seed).child("step")
        let isDone = try loop.run(
            loader, saveInterval: saveInterval, shouldStop: shouldStop,
            onStep: { onEvent(.step($0)) },
            step: {
                guard let batch = try loader.next() else { return nil }
                if loop.metrics.events.isEmpty {
                    try loop.metrics.events.appendImages(
                        batch, recipe.preprocessing, step: progress.step)
                }
                let rate = recipe.schedule.rate(
                    base: recipe.learningRate, step: progress.step, steps: loop.steps,
                    warmup: Int(recipe.warmupEpochs * Double(stepsPerEpoch)))
                let result = try session.step(
                    images: batch.images, labels: batch.labels, optimizer: optimizer, rate: rate,
                    clip: recipe.clip, randomKey: key.child(progress.step))
                average?.follow(
                    parameters, keep: recipe.ema ?? 0, step: progress.step,
                    threads: recipe.threads)
                return RunLoop.Step(
                    loss: Double(result.loss), correct: result.correct, rate: rate,
                    gradientNorm: Double(result.gradientNorm))
            },
            complete: { line, epochEnds in
                guard epochEnds else { return }
                try loop.metrics.events.appendWeights(of: average ?? parameters, step: line.step)
            },
            save: save, afterEpoch: { last = try evaluate(onEvent) })
        return isDone ? .finished(last) : .interrupted
    }

    private func evaluate(_ onEvent: (TrainingEvent) -> Void) throws -> Evaluation? {
        guard let test, let evaluator else { return nil }
        let result = try evaluator.evaluate(
            test, recipe.preprocessing, workers: max(1, recipe.threads))
        onEvent(.evaluated(epoch: progress.epoch, result))
        if loop.metrics.lastEvaluation?.step == progress.step { return result }
        try loop.metrics.append(
            Metrics(
                phase: .evaluate, step: progress.step, epoch: Double(progress.epoch),
                loss: result.loss, accuracy: result.top1))
        return result
    }

    private func save() throws {
        let averaged = average?.tensors().map { (name: "ema." + $0.name, tensor: $0.tensor) }
        try Checkpoint.write(
            recipe, progress, parameters.tensors() + (averaged ?? []) + optimizer.stateTensors(),
            to: folder.checkpointPath)
    }
}

extension Loader {
    /// Throws a `TrainingError` unless the images are what a network takes.
    func requireImages(_ input: Shape) throws {
        let own = imageShape.input
        guard own == input else {
            throw TrainingError(
                "the network takes images of \(input), the preprocessing makes \(own); "
                    + "change the preprocessing's resize, crop or channels")
        }
    }
}

extension ParameterStore {
    /// Takes over another store's values.
    package func copy(_ other: ParameterStore) {
        parameterBlock.base.update(
            from: other.parameterBlock.base, count: parameterBlock.count)
        bufferBlock.base.update(from: other.bufferBlock.base, count: bufferBlock.count)
        markChanged()
    }

    /// Moves this average of the weights a step towards them; running statistics are taken over.
    /// Early steps keep less, as the average of few steps should: min(keep, (1 + n) / (10 + n)).
    package func follow(_ other: ParameterStore, keep: Float, step: Int, threads: Int) {
        follow(other, keep: min(keep, Float(1 + step) / Float(10 + step)), threads: threads)
        bufferBlock.base.update(from: other.bufferBlock.base, count: bufferBlock.count)
        markChanged()
    }

    /// Moves the parameters a step towards those of the same names in another store; running
    /// statistics stay.
    package func follow(_ other: ParameterStore, keep: Float, threads: Int) {
        EngineThread.shared.perform {
            let team = Team(threads: threads)
            for (own, theirs) in zip(parameters, other.parameters) {
                precondition(own.name == theirs.name, "\(own.name) follows \(theirs.name)")
                team.splitArray(own.shape.count) { begin, end in
                    apus_ema(
                        parameterBlock.base + own.offset,
                        other.parameterBlock.base + theirs.offset, keep, begin, end)
                }
            }
        }
        markChanged()
    }
}
