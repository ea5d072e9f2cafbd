import ApusData
import ApusFiles
import ApusRuntime
import ApusTensor

/// What a pretrainer tells whoever watches.
public enum PretrainingEvent: Sendable {
    /// Preparation is done; the run starts at this step of so many, with so many bytes of memory.
    case started(step: Int, steps: Int, bytes: Int)
    case step(StepReport)
    /// A line of metrics was written.
    case metrics(Metrics)
    /// Something may go wrong silently: what, and the remedy.
    case warning(String)
}

/// Trains an encoder on images without labels by a recipe into a run folder, from the start or from
/// the last checkpoint: a run that was killed and continued ends with the same bytes as one that was
/// not.
public final class Pretrainer {
    public let recipe: PretrainingRecipe
    public let folder: RunFolder
    /// The encoder's, the head's and the predictor's.
    public let parameters: ParameterStore
    /// BYOL's target network.
    public let target: ParameterStore?
    public var progress: Progress { loop.progress }
    public var stepsPerEpoch: Int { loop.stepsPerEpoch }
    public var steps: Int { loop.steps }

    /// What happens to images that cannot be read.
    public var brokenImages = BrokenImages.replace
    /// Makes the views, while the run goes and afterwards.
    public private(set) var loader: Loader?

    private let source: any ImageSource
    private let optimizer: Optimizer
    private let step: ContrastiveStep
    private let probe: OnlineProbe?
    private let loop: RunLoop
    private var watch = PretrainingWatch()

    /// Opens or makes the run folder and prepares everything.
    ///
    /// - Parameters:
    ///   - source: the images, of which the recipe's limit takes the first
    ///   - configuration: of the engine; the recipe decides on threads and precision, and the choices
    ///     of a run that continues go before those given here
    public init(
        _ recipe: PretrainingRecipe, folder: RunFolder, source: any ImageSource,
        configuration: Session.Configuration = .init()
    ) throws {
        try recipe.validate()
        self.recipe = recipe
        self.folder = folder
        let source = recipe.limit.map { SubsetSource(source, first: $0) } ?? source
        self.source = source
        let stepsPerEpoch = source.count / recipe.batch
        guard stepsPerEpoch >= 1 else {
            throw TrainingError(
                "a batch of \(recipe.batch) is larger than the \(source.count) images; choose a "
                    + "smaller --batch")
        }
        let graphs = PretrainingGraph(recipe)
        let parameters = ParameterStore(
            try graphs.online(images: recipe.chunk), seed: recipe.seed)
        parameters.allocateGradients()
        self.parameters = parameters
        target =
            recipe.method == .byol
            ? ParameterStore(try graphs.target(images: recipe.chunk), seed: recipe.seed) : nil
        optimizer = Optimizer(
            recipe.optimizer, weightDecay: recipe.weightDecay, for: parameters)

        // The target starts as the online network: both draw by name.
        var progress = Progress()
        if folder.hasCheckpoint {
            let path = folder.checkpointPath
            let (file, saved) = try Checkpoint.open(path, recipe)
            try parameters.load(file, from: path)
            try target?.load(file, prefix: "target.", from: path)
            try optimizer.restore(file, from: path)
            optimizer.stepCount = saved.step
            progress = saved
        }
        var configuration = configuration
        configuration.threads = recipe.threads
        configuration.precision = recipe.precision
        configuration.choices.merge(progress.choices) { _, saved in saved }
        step = try ContrastiveStep(
            recipe, parameters: parameters, target: target, configuration: configuration)
        probe = try recipe.online.map {
            try OnlineProbe(
                $0, encoder: recipe.encoder, parameters: parameters, source: source,
                preprocessing: recipe.preprocessing, seed: recipe.seed,
                configuration: configuration)
        }
        for choices in [
            step.session.choices, step.targetSession?.choices ?? [:], probe?.choices ?? [:],
        ] { progress.choices.merge(choices) { chosen, _ in chosen } }
        try folder.create()
        loop = try RunLoop(
            progress, folder: folder, epochs: recipe.epochs,
            stepsPerEpoch: stepsPerEpoch, images: recipe.batch, counted: 2 * recipe.batch)
        if !folder.hasCheckpoint {
            try folder.write(recipe)
            // From the first step on there is something to continue from, with the choices made.
            try save()
        }
    }

    /// Bytes of weights, gradients, optimizer state, activations, images and the loss.
    public var memoryBytes: Int {
        let views = 2 * recipe.chunk * recipe.encoder.input.count * MemoryLayout<Float>.stride
        // Batches made ahead lie twice in memory: where they are made and where they wait.
        return step.bytes + parameters.byteCount + optimizer.byteCount + (target?.byteCount ?? 0)
            + (probe?.bytes ?? 0) + 2 * LoaderOptions(batchSize: recipe.chunk).prefetch * views
    }

    /// The threads that make views, for so many of the engine.
    static func workers(threads: Int) -> Int { max(1, min(4, threads)) }

    /// What may not be as meant, before anything runs.
    public var hints: [String] { PretrainingWatch.hints(recipe) }

    /// Runs to the end, saving every `saveInterval` seconds and after every epoch. Returns whether it
    /// came there: `shouldStop` is asked after every step. Throws a `NotFiniteError` with the last
    /// good checkpoint in place.
    public func run(
        saveInterval: Double = 60, shouldStop: () -> Bool = { false },
        onEvent: (PretrainingEvent) -> Void = { _ in }
    ) throws -> Bool {
        onEvent(.started(step: progress.step, steps: steps, bytes: memoryBytes))
        if progress.epoch >= recipe.epochs { return true }
        let chunks = recipe.batch / recipe.chunk
        var options = LoaderOptions(batchSize: recipe.chunk)
        options.seed = recipe.seed
        options.start = LoaderPosition(epoch: progress.epoch, batch: progress.batch * chunks)
        options.endEpoch = recipe.epochs
        options.workers = Self.workers(threads: recipe.threads)
        options.brokenImages = brokenImages
        options.measuresStages = true
        let loader = try Loader(
            source: source, preprocessing: recipe.preprocessing, views: recipe.views,
            options: options)
        defer { loader.stop() }
        self.loader = loader
        try loader.requireImages(recipe.encoder.input)
        let key = RandomKey(seed: recipe.seed).child("step")
        var last: Tensor?
        return try loop.run(
            loader, saveInterval: saveInterval, shouldStop: shouldStop,
            onStep: { onEvent(.step($0)) },
            step: {
                let batches = try nextChunks(loader, chunks)
                guard !batches.isEmpty else { return nil }
                let key = key.child(progress.step)
                if progress.step == 0, let line = pairTest(batches, key) {
                    onEvent(.warning(line))
                }
                let rate = recipe.rate(step: progress.step, stepsPerEpoch: stepsPerEpoch)
                let result = step.gradient(batches, key: key)
                let norm = try update(result, rate)
                last = result.projections
                return RunLoop.Step(
                    loss: result.loss,
                    correct: Int((result.accuracy * Double(2 * recipe.batch)).rounded()),
                    rate: rate, gradientNorm: Double(norm))
            },
            complete: { line, epochEnds in
                guard let last else { return }
                let embeddings = EmbeddingStatistics(last)
                line.embeddings = embeddings
                if epochEnds, let interval = recipe.online?.interval,
                    progress.epoch % interval == 0 || progress.epoch == recipe.epochs
                {
                    line.probes = try probe?.accuracies(brokenImages)
                }
                onEvent(.metrics(line))
                let warnings = watch.look(
                    recipe, accuracy: line.accuracy, epoch: line.epoch, embeddings,
                    probes: line.probes ?? [:])
                for warning in warnings { onEvent(.warning(warning)) }
            },
            save: save)
    }

    /// The chunks of the next batch; those that fill no batch at the end of an epoch are left out.
    private func nextChunks(_ loader: Loader, _ chunks: Int) throws -> [Batch] {
        var batches: [Batch] = []
        while batches.count < chunks, let batch = try loader.next() {
            if batch.index < stepsPerEpoch * chunks { batches.append(batch) }
        }
        return batches
    }

    /// Returns the norm of all gradients together.
    private func update(_ result: ContrastiveStep.Result, _ rate: Float) throws -> Float {
        let norm = optimizer.gradientNorm(threads: recipe.threads)
        guard result.loss.isFinite, norm.isFinite else {
            throw NotFiniteError(
                step: optimizer.stepCount + 1, loss: Float(result.loss), gradientNorm: norm)
        }
        optimizer.step(rate: rate, threads: recipe.threads)
        target?.follow(
            parameters, keep: recipe.targetShare(step: progress.step, steps: steps),
            threads: recipe.threads)
        return norm
    }

    /// Shows the first views twice.
    private func pairTest(_ batches: [Batch], _ key: RandomKey) -> String? {
        guard recipe.encoder == recipe.encoder.withoutDropout() else { return nil }
        let twice = batches.map { batch in
            let half = batch.images.elements[..<(batch.images.elements.count / 2)]
            return Tensor(batch.images.shape, Array(half + half))
        }
        return PretrainingWatch.pairTest(step.projections(twice, key: key))
    }

    private func save() throws {
        let followed = target?.tensors().map { (name: "target." + $0.name, tensor: $0.tensor) }
        try Checkpoint.write(
            recipe, progress, parameters.tensors() + (followed ?? []) + optimizer.stateTensors(),
            to: folder.checkpointPath)
    }
}
