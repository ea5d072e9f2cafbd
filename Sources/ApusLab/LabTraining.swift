import ApusTraining
import Foundation

extension LabContext {
    private struct PlanRequest: Hashable, Codable {
        var jobs: [TrainingJob]
        var data: String
        var images: Int
        var seeds: Int
        var seconds: Double
        var threads: Int
    }

    private struct TrainingRequest: Hashable, Codable {
        var job: TrainingJob
        var data: String
        var images: Int
        var seed: UInt64
        var steps: Int
        var points: Int
        var testImages: Int
        var lastTestImages: Int
        var threads: Int
        /// The name of what is looked at along the way.
        var inspection: String
    }

    /// Trains every job with every seed, all for equally many steps: as many as fit into `share` of the
    /// budget by the speed measured on the first run, which is kept, so that a rerun is the same.
    ///
    /// - Parameters:
    ///   - inspection: the name of what `inspect` notes; another name is another job
    ///   - inspect: is shown the network after the first gradients and at every point of the curves
    public func train(
        _ jobs: [TrainingJob], on data: LabData? = nil, share: Double = 1, points: Int = 10,
        inspection: String = "",
        inspect: (TrainingMoment) throws -> [String: [Double]] = { _ in [:] }
    ) throws -> [TrainedJob] {
        let data = try data ?? self.data()
        let (plan, first) = try plan(jobs, data, share: share, points: points)
        note(networks: jobs.map(\.network))
        var done = 0
        var pace = Pace()
        let clock = ContinuousClock()
        let trained = try jobs.map { job in
            var trainer = first?.job == job ? first : nil
            let results = try seeds.map { seed in
                done += 1
                let request = TrainingRequest(
                    job: job, data: data.name, images: data.train.count, seed: seed,
                    steps: plan.steps, points: plan.points, testImages: plan.testImages,
                    lastTestImages: plan.lastTestImages, threads: options.threads,
                    inspection: inspection)
                return try once("train", request) {
                    let ready = try trainer ?? LabTrainer(job, data, configuration)
                    trainer = ready
                    let place = "\(done) of \(jobs.count * seeds.count)"
                    let start = clock.now
                    let result = try ready.run(
                        seed: seed, plan, shouldStop: shouldStop,
                        progress: { step in
                            report(
                                "training \(job.label), seed \(seed) (\(place)): step \(step) of "
                                    + "\(plan.steps)")
                        }, inspect: inspect)
                    if !result.hasDiverged {
                        pace.add(
                            planned: Double(plan.steps) * (plan.secondsPerStep[job.label] ?? 0),
                            taken: clock.now - start)
                    }
                    return result
                }
            }
            return TrainedJob(job: job, results: results, plan: plan)
        }
        let kept = try once("pace", request(jobs, data, seconds * share)) { pace }
        note(
            plan: "\(jobs.map(\.label).joined(separator: ", ")): \(plan.steps) steps each, "
                + "\(seeds.count) seeds; test error on \(plan.testImages) images along the way and on "
                + "\(plan.lastTestImages) at the end" + kept.remark)
        return trained
    }

    private func request(_ jobs: [TrainingJob], _ data: LabData, _ seconds: Double) -> PlanRequest {
        PlanRequest(
            jobs: jobs, data: data.name, images: data.train.count, seeds: seeds.count,
            seconds: seconds, threads: options.threads)
    }

    /// The plan for these jobs, and the trainer of the last one if any had to be timed.
    private func plan(
        _ jobs: [TrainingJob], _ data: LabData, share: Double, points: Int
    ) throws -> (TrainingPlan, LabTrainer?) {
        var last: LabTrainer?
        let plan = try once("plan", request(jobs, data, seconds * share)) {
            var rates: [String: Double] = [:]
            for job in jobs {
                if shouldStop() { throw LabInterrupted() }
                report("timing \(job.label)")
                let trainer = try LabTrainer(job, data, configuration)
                rates[job.label] = try trainer.secondsPerStep()
                last = trainer
            }
            return LabContext.plan(
                jobs, rates, seeds: seeds.count, seconds: seconds * share, points: points)
        }
        return (plan, last)
    }

    /// Training is given 90 % of the time by the speed measured without anything beside it: of runs that were
    /// given 85 % one took 86 % with its tests. A test image costs a third of a training image;
    /// curves and last tests get a share of what training sees.
    package static func plan(
        _ jobs: [TrainingJob], _ secondsPerStep: [String: Double], seeds: Int, seconds: Double,
        points: Int
    ) -> TrainingPlan {
        let cost = jobs.reduce(0) { $0 + (secondsPerStep[$1.label] ?? 0) } * Double(max(seeds, 1))
        let fitting = cost > 0 ? 0.9 * seconds / cost : 0
        let steps = Int(min(max(fitting, 2), 100_000))
        let images = Double(steps * (jobs.map(\.batch).min() ?? 1))
        let points = min(points, steps)
        return TrainingPlan(
            steps: steps, points: points,
            testImages: Int(min(max(0.2 * images / Double(points), 64), 2000)),
            lastTestImages: Int(min(max(0.3 * images, 64), 10_000)),
            secondsPerStep: secondsPerStep)
    }
}
