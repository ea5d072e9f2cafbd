import ApusModels
import ApusRuntime
import ApusTraining
import Foundation
import Testing

import ApusLab

@Suite("Pretraining in the lab")
struct PretrainingTests {
    private func context(
        _ folder: TemporaryFolder, shouldStop: @escaping () -> Bool = { false }
    ) throws -> LabContext {
        var options = smallestOptions(folder)
        options.seeds = 2
        let own = LabFolder(path: folder.path)
        try own.create()
        return LabContext(
            options, minutes: 0.002, folder: own, data: try Corners.data(), shouldStop: shouldStop)
    }

    private func jobs(_ lab: LabContext) throws -> [PretrainingJob] {
        var plain = PretrainingJob("plain", try lab.pretraining(batch: 16))
        plain.probesProjection = true
        var long = PretrainingJob("long", try lab.pretraining(.byol, batch: 16))
        long.length = 3
        return [plain, long, .untrained(plain.recipe)]
    }

    @Test("The plan fits the budget, and longer jobs see more images")
    func plan() throws {
        let folder = try TemporaryFolder()
        let jobs = try jobs(context(folder))
        let rates = ["plain": 0.001, "long": 0.002]
        let plan = LabContext.plan(jobs, rates, seeds: 3, seconds: 601, train: 60_000, test: 10_000)
        // 80 % of 601 seconds over three times 0.001 and three lengths of 0.002.
        #expect(plan.images == 22_895)
        #expect(plan.probeImages == 5723 && plan.testImages == 5723)
        #expect(jobs.map(plan.steps) == [1430, 4292, 0])
        let least = LabContext.plan(jobs, rates, seeds: 3, seconds: 0, train: 600, test: 9)
        #expect(least.probeImages == 64 && least.testImages == 64)
        #expect(jobs.map(least.steps) == [2, 2, 0])
        let most = LabContext.plan(jobs, rates, seeds: 3, seconds: 1e6, train: 600, test: 9)
        #expect(most.images == 120_000)
        #expect(most.probeImages == 300 && most.testImages == 309)
        let many = LabContext.plan(
            jobs, rates, seeds: 1, seconds: 1e5, train: 60_000, test: 10_000)
        #expect(many.probeImages == 10_000 && many.testImages == 60_000)
    }

    @Test("Interrupted pretraining goes on with the jobs that are left and ends the same")
    func continues() throws {
        let whole = try TemporaryFolder()
        let lab = try context(whole)
        let expected = try lab.pretrain(jobs(lab)).map(\.results)
        #expect(expected[0].allSatisfy { !$0.points.isEmpty && $0.projectionProbe != nil })
        #expect(expected[1].allSatisfy { !$0.points.isEmpty && $0.projectionProbe == nil })
        #expect(expected[2].allSatisfy { $0.points.isEmpty && $0.probe > 0 })
        #expect(expected.joined().allSatisfy { !$0.hasDiverged && $0.probe <= 1 })

        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/jobs", withIntermediateDirectories: true)
        let names = try FileManager.default.contentsOfDirectory(atPath: whole.path + "/jobs")
        let stored = try #require(names.first { $0.hasPrefix("pretraining-plan") })
        try FileManager.default.copyItem(
            atPath: "\(whole.path)/jobs/\(stored)", toPath: "\(folder.path)/jobs/\(stored)")
        let steps = try #require(expected[0][0].points.last?.step)
        nonisolated(unsafe) var asked = 0
        let stopping = try context(folder) {
            asked += 1
            return asked > steps + 3
        }
        #expect(throws: LabInterrupted.self) { _ = try stopping.pretrain(jobs(stopping)) }
        let done = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/jobs")
        #expect(done.count > 1 && done.count < names.count)
        let again = try context(folder)
        #expect(try again.pretrain(jobs(again)).map(\.results) == expected)
    }

    @Test("What is looked at is the trained encoder, and the drawn one where nothing is trained")
    func encoders() throws {
        let folder = try TemporaryFolder()
        let lab = try context(folder)
        let jobs = try jobs(lab)
        let drawn = ParameterStore(
            try jobs[0].recipe.encoder.graph(batch: 1, mode: .inference), seed: 1)
        let name = try #require(drawn.names.first)
        let results = try lab.pretrain(jobs, inspection: "equality") { moment in
            guard moment.seed == 1 else { return [:] }
            let isEqual = moment.encoder.parameters.tensor(name) == drawn.tensor(name)
            return ["equal": [isEqual ? 1 : 0]]
        }.map(\.results[1])
        #expect(results.map { $0.extras["equal"] } == [[0], [0], [1]])
        // The probe of what is not trained does not depend on how it would be.
        let other = try lab.pretrain([.untrained(lab.pretraining(.byol, batch: 8)), jobs[0]])
        #expect(other[0].job.recipe.encoder == jobs[0].recipe.encoder)
        #expect(!other[0].results.map(\.probe).contains { $0.isNaN })
    }

    @Test("A share of the labels has as many of every class, and images are prepared as before")
    func labels() throws {
        let data = try Corners.data()
        let part = data.labelled(0.25)
        #expect(part.train.count == 48 && part.test.count == data.test.count)
        let counts = (0..<3).map { label in
            (0..<48).count { part.train.label(at: $0) == label }
        }
        #expect(counts == [16, 16, 16])
        #expect(part.preprocessing == data.preprocessing && part.name != data.name)
        #expect(data.labelled(0.001).train.count == 3)
        #expect(data.labelled(1).train.count == data.train.count)
    }

    @Test("Fine-tuning starts from the weights it is given, and training without from drawn ones")
    func initial() throws {
        let folder = try TemporaryFolder()
        let lab = try context(folder)
        let network = try Models.named("resnet8-cifar", input: [1, 6, 6], classes: 3)
        var job = TrainingJob("tuned", network, learningRate: 1e-30)
        job.batch = 16
        job.weightDecay = 0
        let plan = LabContext.plan([job], ["tuned": 1], seeds: 1, seconds: 1, points: 2)
        let given = ParameterStore(
            try network.encoder().graph(batch: 1, mode: .inference), seed: 77)
        let name = try #require(given.names.first)
        let trainer = try LabTrainer(job, lab.data(), lab.configuration)
        for (initial, expected) in [(given, [1.0]), (nil, [0.0])] {
            let result = try trainer.run(
                seed: 0, plan, initial: initial, shouldStop: { false }, progress: { _ in },
                inspect: {
                    ["equal": [$0.parameters.tensor(name) == given.tensor(name) ? 1 : 0]]
                })
            #expect(result.extras["equal"] == expected)
        }
    }

    @Test("A batch larger than the data is told")
    func tooLarge() throws {
        let folder = try TemporaryFolder()
        let lab = try context(folder)
        let job = PretrainingJob("large", try lab.pretraining(batch: 256))
        #expect { _ = try lab.pretrain([job]) } throws: { "\($0)".contains("--data") }
    }
}
