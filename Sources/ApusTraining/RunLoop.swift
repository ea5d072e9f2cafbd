import ApusData
import Foundation

/// What every run does step by step, whatever a step is: counting, reporting, lines of metrics,
/// checkpoints, and stopping in good order.
final class RunLoop {
    /// What a step gives.
    struct Step {
        /// The mean of the batch.
        let loss: Double
        /// Of `counted` decisions.
        let correct: Int
        let rate: Float
        /// Of all gradients together.
        let gradientNorm: Double
    }

    private(set) var progress: Progress
    let metrics: MetricsLog
    let epochs: Int
    let stepsPerEpoch: Int
    /// Images in a step, and decisions whose share of correct ones is the accuracy.
    private let images: Int
    private let counted: Int

    init(
        _ progress: Progress, folder: RunFolder, epochs: Int, stepsPerEpoch: Int, images: Int,
        counted: Int? = nil
    ) throws {
        self.progress = progress
        self.epochs = epochs
        self.stepsPerEpoch = stepsPerEpoch
        self.images = images
        self.counted = counted ?? images
        metrics = try MetricsLog(folder, upTo: progress.step)
    }

    var steps: Int { stepsPerEpoch * epochs }

    /// Takes steps until `step` gives none, or until `shouldStop`, which is asked after every step;
    /// then the state is saved. Returns whether the run is done.
    ///
    /// - Parameters:
    ///   - complete: adds to a line of metrics before it is written
    ///   - save: writes the checkpoint
    ///   - afterEpoch: what follows an epoch whose checkpoint is written
    func run(
        _ loader: Loader, saveInterval: Double, shouldStop: () -> Bool,
        onStep: (StepReport) -> Void, step: () throws -> Step?,
        complete: (inout Metrics, _ epochEnds: Bool) throws -> Void = { _, _ in },
        save: () throws -> Void, afterEpoch: () throws -> Void = {}
    ) throws -> Bool {
        let clock = ContinuousClock()
        let start = clock.now
        let first = progress.step
        var paused = Duration.zero
        var lastSave = clock.now
        while progress.epoch < epochs, let result = try step() {
            let epoch = progress.epoch
            progress.step += 1
            progress.batch += 1
            let epochEnds = progress.batch == stepsPerEpoch
            if epochEnds {
                progress.batch = 0
                progress.epoch += 1
            }
            progress.lossSum += result.loss
            progress.correct += result.correct
            progress.images += counted

            let seconds = (clock.now - start - paused) / .seconds(1)
            let perSecond = Double(progress.step - first) / seconds
            let report = StepReport(
                step: progress.step, steps: steps, epoch: epoch, epochs: epochs,
                loss: progress.lossSum * Double(counted) / Double(progress.images),
                accuracy: Double(progress.correct) / Double(progress.images),
                imagesPerSecond: perSecond * Double(images),
                secondsLeft: Double(steps - progress.step) / perSecond,
                loaderShare: loader.waitSeconds / seconds)
            onStep(report)
            let pause = clock.now
            if epochEnds || progress.step % 100 == 0 {
                var line = Metrics(
                    phase: .train, step: report.step,
                    epoch: Double(report.step) / Double(stepsPerEpoch), loss: report.loss,
                    accuracy: report.accuracy, learningRate: Double(result.rate),
                    imagesPerSecond: report.imagesPerSecond,
                    gradientNorm: result.gradientNorm)
                try complete(&line, epochEnds)
                try metrics.append(line)
                progress.lossSum = 0
                progress.correct = 0
                progress.images = 0
            }
            if epochEnds {
                try save()
                lastSave = clock.now
                try afterEpoch()
                paused += clock.now - pause
            } else if clock.now - lastSave > .seconds(saveInterval) {
                try save()
                lastSave = clock.now
            }
            if progress.epoch < epochs, shouldStop() {
                if !epochEnds { try save() }
                return false
            }
        }
        return true
    }
}
