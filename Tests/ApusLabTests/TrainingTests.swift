import ApusGraph
import ApusModels
import ApusTensor
import Foundation
import Testing

import ApusLab

@Suite("Training in the lab")
struct TrainingTests {
    private let network = Network("tiny", input: [1, 12, 12]) {
        Convolution("conv", 8, kernel: 3, stride: 2)
        BatchNorm("norm")
        Activation(.relu)
        Flatten()
        Dense("dense", 3)
    }

    private func context(
        _ folder: TemporaryFolder, seeds: Int = 2, shouldStop: @escaping () -> Bool = { false }
    ) throws -> LabContext {
        var options = smallestOptions(folder)
        options.seeds = seeds
        let own = LabFolder(path: folder.path)
        try own.create()
        return LabContext(
            options, minutes: 0.005, folder: own, data: try Corners.data(), shouldStop: shouldStop)
    }

    private func jobs() -> [TrainingJob] {
        ["one", "two"].map { name in
            var job = TrainingJob(name, network)
            job.batch = 16
            if name == "two" { job.learningRate = 0.01 }
            return job
        }
    }

    @Test("Interrupted training goes on with the jobs that are left and ends the same")
    func continues() throws {
        let whole = try TemporaryFolder()
        let expected = try context(whole).train(jobs()).map(\.results)
        #expect(expected.joined().allSatisfy { $0.points.count >= 1 && !$0.hasDiverged })

        // The plan is measured once: the second folder starts from it.
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/jobs", withIntermediateDirectories: true)
        let names = try FileManager.default.contentsOfDirectory(atPath: whole.path + "/jobs")
        let stored = try #require(names.first { $0.hasPrefix("plan") })
        try FileManager.default.copyItem(
            atPath: "\(whole.path)/jobs/\(stored)", toPath: "\(folder.path)/jobs/\(stored)")
        let steps = try #require(expected.first?.first?.points.last?.step)
        nonisolated(unsafe) var asked = 0
        let stopping = try context(folder) {
            asked += 1
            return asked > 2 * steps
        }
        #expect(throws: LabInterrupted.self) { _ = try stopping.train(jobs()) }
        let done = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/jobs")
        #expect(done.contains { $0.hasPrefix("train") } && done.count < names.count)
        #expect(try context(folder).train(jobs()).map(\.results) == expected)
    }

    @Test("Other recipes are other jobs, and damaged results are told")
    func cache() throws {
        let folder = try TemporaryFolder()
        let lab = try context(folder)
        var made = 0
        func ask(_ value: Int) throws -> Int {
            try lab.once("count", value) {
                made += 1
                return value * 2
            }
        }
        #expect(try ask(1) == 2 && ask(1) == 2 && ask(2) == 4)
        #expect(made == 2)
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path + "/jobs") {
            try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/jobs/\(name)"))
        }
        #expect { try ask(1) } throws: { "\($0)".contains("damaged") }
    }

    @Test("A plan made on a busy machine is told from others")
    func pace() {
        var pace = Pace()
        #expect(pace.remark == "")
        pace.add(planned: 10, taken: .seconds(11))
        #expect(pace.remark == "")
        pace.add(planned: 30, taken: .seconds(9))
        #expect(pace.remark.contains("0.5 of the time"))
    }

    @Test("The plan fits the budget")
    func plan() {
        let plan = LabContext.plan(
            jobs(), ["one": 0.1, "two": 0.3], seeds: 3, seconds: 601, points: 10)
        // 90 % of 601 seconds over three times 0.4.
        #expect(plan.steps == 450)
        #expect(plan.testImages == 144 && plan.lastTestImages == 2160)
        let least = LabContext.plan(jobs(), ["one": 1, "two": 1], seeds: 3, seconds: 1, points: 10)
        #expect(least.steps == 2 && least.points == 2)
    }

    /// By design, without a long run: sabotaged residual networks are the plain ones.
    @Test("Without shortcuts, deeper residual networks are deeper plain ones")
    func sabotage() throws {
        let folder = try TemporaryFolder()
        let degradation = try Lab.experiment("degradation")
        var options = smallestOptions(folder)
        options.sabotage = true
        let lab = LabContext(options, minutes: 1, folder: LabFolder(path: folder.path))
        let residual = lab.residual(try Models.named("resnet20-cifar"))
        #expect(try residual.layers == Models.named("plain20-cifar").layers)
        let result = try Lab.run(degradation, options, data: Corners.data())
        #expect(result.isSabotaged && result.command.contains("--sabotage"))
        let (plain, other) = (
            result.findings.comparison.rows[3], result.findings.comparison.rows[7]
        )
        #expect(plain[1] == other[1] && plain[2] == other[2], "resnet-56 is plain-56")

        // What plain networks do when they are trained long enough, for both kinds.
        var findings = result.findings
        findings.measured["learned"] = Estimate([0.1, 0.11, 0.1])
        for key in ["plain", "residual"] { findings.measured[key] = Estimate([0.1, 0.11, 0.12]) }
        findings.measured["shortcuts"] = Estimate([0, 0, 0])
        let judged = LabResult(degradation, findings, options, minutes: 1, plans: [])
        #expect(judged.verdict == .fails)
        findings.measured["residual"] = Estimate([-0.01, 0, 0.001])
        findings.measured["shortcuts"] = Estimate([0.1, 0.11, 0.12])
        let sound = LabResult(degradation, findings, options, minutes: 1, plans: [])
        #expect(sound.verdict == .holds)
    }
}
