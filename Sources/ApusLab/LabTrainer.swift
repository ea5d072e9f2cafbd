import ApusData
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation

/// The state of a training run for an experiment to look into.
public struct TrainingMoment {
    public let job: TrainingJob
    /// Steps taken; 0 for the look at the first gradients, which have just moved the weights.
    public let step: Int
    public let steps: Int
    /// Weights, and the gradients of the last step.
    public let parameters: ParameterStore

    public var isLast: Bool { step == steps }
}

/// Trains one job's network, on images resized to what it takes, once for every seed that asks: the compiled session is shared.
package final class LabTrainer {
    let job: TrainingJob
    private let data: LabData
    private let session: Session
    private let evaluator: Evaluator
    private let parameters: ParameterStore

    package init(
        _ job: TrainingJob, _ data: LabData, _ configuration: Session.Configuration
    ) throws {
        self.job = job
        self.data = data.fitted(to: job.network.input)
        guard data.train.count >= job.batch else {
            throw LabError(
                "\(data.name) has \(data.train.count) training images, less than a batch of "
                    + "\(job.batch); choose larger data with --data")
        }
        parameters = ParameterStore(
            try job.network.graph(batch: job.batch, mode: .training), seed: 0)
        session = try Session.training(
            job.network, batch: job.batch, parameters: parameters, configuration: configuration)
        evaluator = try Evaluator(
            job.network, parameters: parameters, batch: job.batch, configuration: configuration)
    }

    /// Seconds of a step, after one that warms up.
    func secondsPerStep() throws -> Double {
        let loader = try loader(seed: 0)
        defer { loader.stop() }
        parameters.initialize(seed: 0)
        let optimizer = Optimizer(job.optimizer, for: parameters)
        var seconds = Double.infinity
        let clock = ContinuousClock()
        for _ in 0..<3 {
            guard let batch = try loader.next() else { break }
            // A rate of zero: networks that would diverge are timed like others.
            let duration = try clock.measure {
                do {
                    try session.step(
                        images: batch.images, labels: batch.labels, optimizer: optimizer, rate: 0)
                } catch is NotFiniteError {}
            }
            seconds = min(seconds, duration / .seconds(1))
        }
        return seconds
    }

    private func loader(seed: UInt64) throws -> Loader {
        try Loader(
            source: data.train, preprocessing: data.preprocessing,
            augmentation: job.augmentation,
            options: LoaderOptions(batchSize: job.batch, seed: seed, workers: 1))
    }

    private func testError(images: Int) throws -> Double {
        1 - (try evaluator.evaluate(Subset(data.test, count: images), data.preprocessing)).top1
    }

    /// Trains from new weights, or from those of `initial` that the network has. `inspect` is shown the first gradients and every point.
    package func run(
        seed: UInt64, _ plan: TrainingPlan, initial: ParameterStore? = nil,
        shouldStop: () -> Bool, progress: (Int) -> Void,
        inspect: (TrainingMoment) throws -> [String: [Double]] = { _ in [:] }
    ) throws -> TrainingResult {
        parameters.initialize(seed: seed)
        for name in initial?.names ?? [] where parameters.shape(name) != nil {
            if let tensor = initial?.tensor(name) { try parameters.set(name, tensor) }
        }
        let optimizer = Optimizer(
            job.optimizer, weightDecay: job.weightDecay, for: parameters)
        let loader = try loader(seed: seed)
        defer { loader.stop() }
        let key = RandomKey(seed: seed).child("step")
        var result = TrainingResult()
        var loss = 0.0
        var wrong = 0
        var batches = 0
        func look(_ step: Int) throws {
            let moment = TrainingMoment(
                job: job, step: step, steps: plan.steps, parameters: parameters)
            for (name, values) in try inspect(moment) { result.extras[name] = values }
        }
        let warmup = Int(job.warmup * Double(plan.steps))
        for step in 0..<plan.steps {
            if shouldStop() { throw LabInterrupted() }
            guard let batch = try loader.next() else { break }
            do {
                let rate = job.schedule.rate(
                    base: job.learningRate, step: step, steps: plan.steps, warmup: warmup)
                let report = try session.step(
                    images: batch.images, labels: batch.labels, optimizer: optimizer,
                    rate: rate, randomKey: key.child(step))
                loss += Double(report.loss)
                wrong += job.batch - report.correct
                batches += 1
            } catch is NotFiniteError {
                result.hasDiverged = true
            }
            if step == 0 { try look(0) }
            let isDue = (step + 1) * plan.points / plan.steps > step * plan.points / plan.steps
            if isDue || result.hasDiverged {
                let isLast = step + 1 == plan.steps || result.hasDiverged
                result.points.append(
                    TrainingResult.Point(
                        step: step + 1, trainLoss: batches > 0 ? loss / Double(batches) : .infinity,
                        trainError: batches > 0
                            ? Double(wrong) / Double(batches * job.batch) : 1,
                        testError: try testError(
                            images: isLast ? plan.lastTestImages : plan.testImages)))
                (loss, wrong, batches) = (0, 0, 0)
                try look(step + 1)
            }
            progress(step + 1)
            if result.hasDiverged { break }
        }
        return result
    }
}
