import ApusData
import ApusGraph
import ApusRuntime
import Foundation

/// Trains an encoder with a new classifier on labels, from its weights or from scratch.
struct FineTuner {
    let encoder: FeatureEncoder
    let settings: ProbeSettings
    /// Run folders go here, one a training, so that what was interrupted goes on.
    let folder: String
    let configuration: Session.Configuration
    let shouldStop: () -> Bool
    let onStep: (StepReport) -> Void

    /// Trains on `train` and gives the share of `test` that is recognized, whose images are read
    /// once, when all is done. Everything but the starting weights is the same for any `start`.
    func accuracy(
        _ name: String, train: SubsetSource, test: any ImageSource, start: FeatureEncoder?,
        percent: Double, rate: Float, seed: UInt64
    ) throws -> (accuracy: Double, steps: Int) {
        let recipe = try recipe(train, percent: percent, rate: rate, seed: seed)
        let trainer = try Trainer(
            recipe, folder: RunFolder("\(folder)/\(name)"), train: train, test: nil,
            initial: start.map { start in
                { store in
                    for name in start.parameters.names where store.shape(name) != nil {
                        guard let tensor = start.parameters.tensor(name) else { continue }
                        try store.set(name, tensor)
                    }
                }
            }, configuration: configuration)
        let outcome = try trainer.run(shouldStop: shouldStop) { event in
            if case .step(let report) = event { onStep(report) }
        }
        if outcome == .interrupted { throw CancellationError() }
        var configuration = configuration
        configuration.threads = settings.threads
        configuration.precision = settings.precision
        let evaluator = try Evaluator(
            recipe.network, parameters: trainer.parameters, batch: min(128, test.count),
            configuration: configuration)
        let evaluation = try evaluator.evaluate(
            test, recipe.preprocessing, workers: max(1, min(4, settings.threads)))
        return (evaluation.top1, trainer.stepsPerEpoch * recipe.epochs)
    }

    private func recipe(
        _ train: SubsetSource, percent: Double, rate: Float, seed: UInt64
    ) throws -> Recipe {
        var network = encoder.network
        network.layers.append(Dense("classifier", train.classNames.count).layer)
        let isSmall = min(network.input[1], network.input[2]) < 64
        // A supervised run's own augmentation; else the usual one for the size.
        let usual =
            isSmall
            ? Augmentation.cropAndFlip
            : Augmentation(horizontalFlip: true, randomResizedCrop: RandomResizedCrop())
        var recipe = Recipe(
            network: network, data: settings.data, classNames: train.classNames,
            preprocessing: encoder.preprocessing, augmentation: encoder.augmentation ?? usual,
            threads: settings.threads)
        recipe.epochs = settings.epochs(percent)
        recipe.batch = min(settings.batch, train.count)
        recipe.optimizer = .sgd(momentum: 0.9, nesterov: true)
        recipe.learningRate = rate
        recipe.schedule = .cosine
        recipe.weightDecay = 1e-4
        recipe.seed = seed
        recipe.precision = settings.precision
        return recipe
    }
}
