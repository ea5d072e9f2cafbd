import ApusData
import ApusRuntime
import ApusTensor

/// What the making of batches takes from steps of pretraining on the same cores.
///
/// Two kinds of steps take turns in one process: one gets the next batch while the loader makes another
/// for it, as in a run; one gets the same batch again while the loader has nothing to do.
package struct LoadingCost: Sendable {
    /// Milliseconds of every step that was fed, and of the step after it.
    package private(set) var fed: [Double] = []
    package private(set) var repeated: [Double] = []
    /// Milliseconds that steps have waited for a batch.
    package private(set) var waits: [Double] = []

    /// Times `steps` steps of each kind, after one of each that is not timed.
    package init(
        _ recipe: PretrainingRecipe, source: any ImageSource, steps: Int,
        configuration: Session.Configuration = .init()
    ) throws {
        let graphs = PretrainingGraph(recipe)
        let parameters = ParameterStore(
            try graphs.online(images: recipe.chunk), seed: recipe.seed)
        parameters.allocateGradients()
        let target =
            recipe.method == .byol
            ? ParameterStore(try graphs.target(images: recipe.chunk), seed: recipe.seed) : nil
        let optimizer = Optimizer(
            recipe.optimizer, weightDecay: recipe.weightDecay, for: parameters)
        var configuration = configuration
        configuration.threads = recipe.threads
        configuration.precision = recipe.precision
        let step = try ContrastiveStep(
            recipe, parameters: parameters, target: target, configuration: configuration)
        var options = LoaderOptions(batchSize: recipe.chunk)
        options.seed = recipe.seed
        options.workers = Pretrainer.workers(threads: recipe.threads)
        let loader = try Loader(
            source: source, preprocessing: recipe.preprocessing, views: recipe.views,
            options: options)
        defer { loader.stop() }
        try loader.requireImages(recipe.encoder.input)

        let clock = ContinuousClock()
        let key = RandomKey(seed: recipe.seed).child("step")
        var batches: [Batch] = []
        func run(_ number: Int) {
            _ = step.gradient(batches, key: key.child(number))
            _ = optimizer.gradientNorm(threads: recipe.threads)
            // The weights shall stay where numbers are usual.
            optimizer.step(rate: 1e-6, threads: recipe.threads)
        }
        for number in 0...steps {
            loader.waitUntilFull()
            let waited = loader.waitSeconds
            let fed = try clock.measure {
                batches = []
                while batches.count < recipe.batch / recipe.chunk, let batch = try loader.next() {
                    batches.append(batch)
                }
                run(number)
                // Where making a batch takes longer than a step, it is what steps take.
                loader.waitUntilFull()
            }
            let repeated = clock.measure { run(number) }
            guard number > 0 else { continue }
            self.fed.append(fed / .milliseconds(1))
            self.repeated.append(repeated / .milliseconds(1))
            waits.append(1000 * (loader.waitSeconds - waited))
        }
    }

    /// The median of a list that is not empty.
    package static func median(_ times: [Double]) -> Double {
        let sorted = times.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    /// How much longer steps take that are fed, in percent of those that are not.
    package var percent: Double { 100 * (Self.median(fed) / Self.median(repeated) - 1) }
}
