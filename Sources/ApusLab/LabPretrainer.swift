import ApusData
import ApusRuntime
import ApusTensor
import ApusTraining

/// An encoder after pretraining for an experiment to look into.
package struct PretrainedMoment {
    package let job: PretrainingJob
    package let seed: UInt64
    package let encoder: FeatureEncoder
}

/// Pretrains one job's encoder in memory, once for every seed that asks, and probes what it has become.
final class LabPretrainer {
    let job: PretrainingJob
    private var recipe: PretrainingRecipe { job.recipe }
    private let data: LabData
    private let configuration: Session.Configuration
    private let parameters: ParameterStore
    /// BYOL's.
    private let target: ParameterStore?
    private let step: ContrastiveStep

    /// The algorithm of every convolution: what others need not find out again.
    var choices: [String: String] {
        step.session.choices.merging(step.targetSession?.choices ?? [:]) { first, _ in first }
    }

    init(_ job: PretrainingJob, _ data: LabData, _ configuration: Session.Configuration) throws {
        try job.recipe.validate()
        guard data.train.count >= job.recipe.batch else {
            throw LabError(
                "\(data.name) has \(data.train.count) training images, less than a batch of "
                    + "\(job.recipe.batch); choose larger data with --data")
        }
        self.job = job
        self.data = data
        self.configuration = configuration
        let graphs = PretrainingGraph(job.recipe)
        let chunk = job.recipe.chunk
        parameters = ParameterStore(try graphs.online(images: chunk), seed: 0)
        parameters.allocateGradients()
        target =
            job.recipe.method == .byol
            ? ParameterStore(try graphs.target(images: chunk), seed: 0) : nil
        step = try ContrastiveStep(
            job.recipe, parameters: parameters, target: target, configuration: configuration)
    }

    private func loader(seed: UInt64) throws -> Loader {
        try Loader(
            source: data.train, preprocessing: recipe.preprocessing, views: recipe.views,
            options: LoaderOptions(batchSize: recipe.batch, seed: seed, workers: 1))
    }

    /// New weights; the target starts as the online network: both draw by name.
    private func draw(seed: UInt64) -> Optimizer {
        parameters.initialize(seed: seed)
        target?.initialize(seed: seed)
        return Optimizer(recipe.optimizer, weightDecay: recipe.weightDecay, for: parameters)
    }

    /// Seconds an image, its views and its step, after a step that warms up.
    func secondsPerImage() throws -> Double {
        let loader = try loader(seed: 0)
        defer { loader.stop() }
        let optimizer = draw(seed: 0)
        var seconds = Double.infinity
        let clock = ContinuousClock()
        for _ in 0..<3 {
            let duration = try clock.measure {
                guard let batch = try loader.next() else { return }
                // A rate of zero: what would diverge is timed like others.
                _ = advance(batch, optimizer, rate: 0, keep: 1, RandomKey(seed: 0))
            }
            seconds = min(seconds, duration / .seconds(1))
        }
        return seconds / Double(recipe.batch)
    }

    /// One step; nil if the loss or the gradients are not numbers, which changes no weight.
    private func advance(
        _ batch: Batch, _ optimizer: Optimizer, rate: Float, keep: Float, _ key: RandomKey
    ) -> ContrastiveStep.Result? {
        let result = step.gradient([batch], key: key)
        let norm = optimizer.gradientNorm(threads: recipe.threads)
        guard result.loss.isFinite, norm.isFinite else { return nil }
        optimizer.step(rate: rate, threads: recipe.threads)
        target?.follow(parameters, keep: keep, threads: recipe.threads)
        return result
    }

    /// Pretrains from new weights for so many steps and probes the encoder.
    func run(
        seed: UInt64, _ plan: PretrainingPlan, shouldStop: () -> Bool, progress: (Int) -> Void,
        inspect: (PretrainedMoment) throws -> [String: [Double]]
    ) throws -> PretrainingResult {
        let optimizer = draw(seed: seed)
        let loader = try loader(seed: seed)
        defer { loader.stop() }
        let key = RandomKey(seed: seed).child("step")
        var result = PretrainingResult()
        let steps = plan.steps(job)
        let points = min(plan.points, steps)
        var sums = (loss: 0.0, accuracy: 0.0, steps: 0.0)
        for index in 0..<steps {
            if shouldStop() { throw LabInterrupted() }
            guard let batch = try loader.next() else { break }
            let rate = Schedule.cosine.rate(
                base: recipe.learningRate, step: index, steps: steps, warmup: steps / 20)
            let keep = recipe.targetShare(step: index, steps: steps)
            guard let outcome = advance(batch, optimizer, rate: rate, keep: keep, key.child(index))
            else {
                result.hasDiverged = true
                break
            }
            sums.loss += outcome.loss
            sums.accuracy += outcome.accuracy
            sums.steps += 1
            if (index + 1) * points / steps > index * points / steps {
                result.points.append(
                    PretrainingResult.Point(
                        step: index + 1, loss: sums.loss / sums.steps,
                        accuracy: sums.accuracy / sums.steps))
                sums = (0, 0, 0)
            }
            progress(index + 1)
        }
        // Running statistics may not be numbers now: such an encoder tells nothing apart.
        if result.hasDiverged {
            result.probe = 1 / Double(data.classes)
            result.projectionProbe = job.probesProjection ? result.probe : nil
            return result
        }
        let encoder = try FeatureEncoder(recipe, trained: parameters)
        result.probe = try probe(encoder, .representation, plan)
        if job.probesProjection {
            result.projectionProbe = try probe(encoder, .projection, plan)
        }
        result.extras = try inspect(PretrainedMoment(job: job, seed: seed, encoder: encoder))
        return result
    }

    /// The share of images that a linear classifier of frozen features recognizes: test images and, for
    /// the statistics of many, training images it was not fitted to. Their labels are new to everything.
    private func probe(
        _ encoder: FeatureEncoder, _ layer: FeatureLayer, _ plan: PretrainingPlan
    ) throws -> Double {
        let extractor = try FeatureExtractor(
            encoder, layer: layer, batch: min(256, plan.probeImages), configuration: configuration)
        let known = SubsetSource(data.train, count: plan.probeImages)
        let isKnown = Set(known.indices)
        let others = SubsetSource(
            data.train, indices: (0..<data.train.count).filter { !isKnown.contains($0) })
        let test = SubsetSource(data.test, count: plan.testImages)
        var probe = LinearProbe()
        probe.threads = recipe.threads
        probe.finalIterations = 100
        let classifier = try probe.fit(extractor.features(of: known, workers: 1), penalty: 1)
        var recognized = 0.0
        for images in [test, SubsetSource(others, count: plan.testImages - test.count)]
        where images.count > 0 {
            let features = try extractor.features(of: images, workers: 1)
            recognized += classifier.accuracy(features) * Double(images.count)
        }
        return recognized / Double(plan.testImages)
    }
}
