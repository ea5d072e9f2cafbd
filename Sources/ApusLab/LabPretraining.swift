import ApusData
import ApusTraining
import Foundation

extension LabContext {
    private struct PlanRequest: Hashable, Codable {
        var jobs: [PretrainingJob]
        var images: Int
        var seeds: Int
        var seconds: Double
    }

    private struct PretrainingRequest: Hashable, Codable {
        var recipe: PretrainingRecipe
        var images: Int
        var steps: Int
        var points: Int
        var probeImages: Int
        var testImages: Int
        var probesProjection: Bool
        /// The name of what is looked at in the end.
        var inspection: String
    }

    /// The recipe that experiments vary: SimCLR with a small residual network on images of half their
    /// size, which buys four times the steps. AdamW's steps do not depend on the size of
    /// gradients, so losses and temperatures are compared, not learning rates.
    package func pretraining(
        _ method: PretrainingRecipe.Method = .simclr, layers: Int = 8,
        head: ProjectionHead = .mlp(layers: 2, width: 128, dimension: 32), batch: Int = 128,
        on data: LabData? = nil
    ) throws -> PretrainingRecipe {
        let data = try data ?? self.data()
        let model = residual(try data.network("resnet\(layers)-cifar", scale: 0.5))
        var preprocessing = data.fitted(to: model.input).preprocessing
        preprocessing.crop = ImageSize(height: model.input[1], width: model.input[2])
        var recipe = try PretrainingRecipe(
            method, model: model, head: head, width: 128, data: data.name,
            classNames: data.train.classNames, preprocessing: preprocessing,
            views: Views.named("simclr-small-images"), threads: options.threads)
        recipe.loss = .ntXent(temperature: 0.2)
        recipe.batch = batch
        recipe.chunk = batch
        recipe.optimizer = .defaultAdamW
        recipe.learningRate = 2e-3 * (Float(batch) / 128).squareRoot()
        recipe.weightDecay = 0.01
        // Runs of hundreds of steps need a target that follows within them.
        recipe.targetMomentum = 0.99
        return recipe
    }

    /// What `pretraining` does, for pages.
    static func pretrainingSetup(layers: Int = 8) -> [String] {
        [
            "A residual network of \(layers) layers (64 features) on images of half their size; unless "
                + "said otherwise SimCLR with crops, mirroring and color of strength 0.5, a head of two "
                + "layers to 32 dimensions, NT-Xent at temperature 0.2, batches of 128, AdamW at 0.002 "
                + "falling as a cosine.",
            "Probe: logistic regression with penalty 1 on frozen features, measured on test images and, "
                + "beyond their number, on training images whose labels it has not seen.",
        ]
    }

    /// Pretrains and probes every job with every seed; all see equally many images times their length:
    /// as many as fit into `share` of the budget by the speed measured on the first run, which is kept.
    ///
    /// - Parameters:
    ///   - data: images of another kind than the lab's, as the recipes say
    ///   - inspection: the name of what `inspect` notes; another name is another job
    ///   - inspect: is shown the encoder in the end
    package func pretrain(
        _ jobs: [PretrainingJob], on data: LabData? = nil, share: Double = 1,
        inspection: String = "",
        inspect: (PretrainedMoment) throws -> [String: [Double]] = { _ in [:] }
    ) throws -> [PretrainedJob] {
        let data = try data ?? self.data()
        func pretrainer(
            _ job: PretrainingJob, _ choices: [String: String]
        ) throws -> LabPretrainer {
            var configuration = configuration
            configuration.choices.merge(choices) { given, _ in given }
            return try LabPretrainer(job, data, configuration)
        }
        let request = PlanRequest(
            jobs: jobs, images: data.train.count, seeds: seeds.count, seconds: seconds * share)
        let plan = try once("pretraining-plan", request) {
            // Views and losses cost little beside the network: one job of each network is timed.
            var timed: [PretrainingRecipe: Double] = [:]
            var rates: [String: Double] = [:]
            var choices: [String: String] = [:]
            for job in jobs where job.length > 0 {
                if shouldStop() { throw LabInterrupted() }
                var network = job.recipe
                network.views = []
                network.loss = .ntXent(temperature: 1)
                network.normalizes = true
                report("timing \(job.label)")
                if timed[network] == nil {
                    let trainer = try pretrainer(job, choices)
                    timed[network] = try trainer.secondsPerImage()
                    choices.merge(trainer.choices) { known, _ in known }
                }
                rates[job.label] = timed[network]
            }
            var plan = LabContext.plan(
                jobs, rates, seeds: seeds.count, seconds: seconds * share, train: data.train.count,
                test: data.test.count)
            plan.choices = choices
            return plan
        }
        note(networks: jobs.map(\.recipe.encoder))
        var done = 0
        var pace = Pace()
        let clock = ContinuousClock()
        let trained = try jobs.map { job in
            var ready: LabPretrainer?
            let results = try seeds.map { seed in
                done += 1
                var recipe = job.recipe
                recipe.seed = seed
                let steps = plan.steps(job)
                let request = PretrainingRequest(
                    recipe: recipe, images: data.train.count, steps: steps, points: plan.points,
                    probeImages: plan.probeImages, testImages: plan.testImages,
                    probesProjection: job.probesProjection, inspection: inspection)
                return try once("pretrain", request) {
                    let trainer = try ready ?? pretrainer(job, plan.choices)
                    ready = trainer
                    let place = "\(done) of \(jobs.count * seeds.count)"
                    let start = clock.now
                    let result = try trainer.run(
                        seed: seed, plan, shouldStop: shouldStop,
                        progress: { step in
                            report(
                                "pretraining \(job.label), seed \(seed) (\(place)): step \(step) "
                                    + "of \(steps)")
                        }, inspect: inspect)
                    if !result.hasDiverged {
                        pace.add(
                            planned: Double(steps * job.recipe.batch)
                                * (plan.secondsPerImage[job.label] ?? 0),
                            taken: clock.now - start)
                    }
                    return result
                }
            }
            return PretrainedJob(job: job, results: results, plan: plan)
        }
        let kept = try once("pretraining-pace", request) { pace }
        note(
            plan: "\(jobs.map(\.label).joined(separator: ", ")): \(plan.images) images seen (times "
                + "the length of the job), \(seeds.count) seeds; probes fitted to "
                + "\(plan.probeImages) images and measured on \(plan.testImages)" + kept.remark)
        return trained
    }

    /// About 80 % of the time is for training, on at most 200 times the `train` images; probes read images
    /// at a sixth of the cost of training on them, and are fitted in the rest.
    package static func plan(
        _ jobs: [PretrainingJob], _ secondsPerImage: [String: Double], seeds: Int, seconds: Double,
        train: Int, test: Int
    ) -> PretrainingPlan {
        let cost =
            jobs.reduce(0) { $0 + $1.length * (secondsPerImage[$1.label] ?? 0) }
            * Double(max(seeds, 1))
        let fitting = cost > 0 ? 0.8 * seconds / cost : 0
        let images = Int(min(max(fitting, 0), Double(200 * train)))
        let read = max(images / 4, 64)
        let probed = min(read, 10_000, max(train / 2, 1))
        return PretrainingPlan(
            images: images, points: 10, probeImages: probed,
            testImages: min(read, test + train - probed),
            secondsPerImage: secondsPerImage)
    }
}
