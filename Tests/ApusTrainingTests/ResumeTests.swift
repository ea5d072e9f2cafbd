import ApusFiles
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// A run that was stopped or killed and continued ends with the same bytes as one that was not.
@Suite struct ResumeTests {
    private static let train = Squares(count: 200)
    private static let test = Squares(count: 41, name: "test")

    private func trainer(
        _ folder: RunFolder, _ recipe: Recipe = tinyRecipe(),
        configuration: Session.Configuration = .direct
    ) throws -> Trainer {
        try Trainer(
            recipe, folder: folder, train: Self.train, test: Self.test,
            configuration: configuration)
    }

    /// Runs until `count` steps were made in this session.
    @discardableResult
    private func run(_ trainer: Trainer, stopAfter count: Int = .max) throws -> TrainingOutcome {
        var made = 0
        return try trainer.run(
            shouldStop: {
                made += 1
                return made == count
            })
    }

    /// Compares the last checkpoint byte by byte and the metrics apart from what a clock told.
    private func expectSame(_ folder: RunFolder, _ reference: RunFolder) throws {
        let isSame =
            try Data(contentsOf: URL(fileURLWithPath: folder.checkpointPath))
            == Data(contentsOf: URL(fileURLWithPath: reference.checkpointPath))
        #expect(isSame, "the checkpoints differ")
        #expect(try metrics(folder) == metrics(reference))
    }

    private func metrics(_ folder: RunFolder) throws -> [Metrics] {
        try String(contentsOfFile: folder.metricsPath, encoding: .utf8).split(separator: "\n").map {
            var line = try JSONDecoder().decode(Metrics.self, from: Data($0.utf8))
            line.imagesPerSecond = nil
            return line
        }
    }

    @Test(arguments: [[1], [4], [6], [12], [17], [18], [1, 1, 5, 3]])
    func aStoppedRunEndsWithTheSameBytes(stops: [Int]) throws {
        let temporary = try TemporaryFolder()
        let whole = temporary.run("whole")
        let outcome = try run(trainer(whole))
        guard case .finished(let evaluation?) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        let lines = try metrics(whole)
        #expect(lines.map(\.step) == [6, 6, 12, 12, 18, 18])
        #expect(lines.last?.loss == evaluation.loss)

        let parts = temporary.run("parts")
        for stop in stops {
            // After the last of 18 steps there is nothing left to interrupt.
            let expected = stop == 18 ? outcome : .interrupted
            #expect(try run(trainer(parts), stopAfter: stop) == expected)
        }
        let last = try trainer(parts)
        #expect(last.progress.step == stops.reduce(0, +))
        #expect(try run(last) == outcome)
        try expectSame(parts, whole)
    }

    /// A kill leaves the last checkpoint and whatever metrics came after it.
    @Test(arguments: [7, 11, 12, 13]) func aKilledRunEndsWithTheSameBytes(step: Int) throws {
        let temporary = try TemporaryFolder()
        let whole = temporary.run("whole")
        let killed = temporary.run("killed")
        _ = try trainer(whole).run(onEvent: { event in
            if case .step(let report) = event, report.step == step {
                try? FileManager.default.copyItem(atPath: whole.path, toPath: killed.path)
            }
        })
        #expect(killed.hasCheckpoint)
        let resumed = try trainer(killed)
        #expect(resumed.progress.step == (step <= 12 ? 6 : 12))
        try run(resumed)
        try expectSame(killed, whole)
    }

    @Test func aFinishedRunIsOnlyLookedAt() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        let outcome = try run(trainer(folder))
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.checkpointPath))
        #expect(try run(trainer(folder)) == outcome)
        let isSame = try Data(contentsOf: URL(fileURLWithPath: folder.checkpointPath)) == before
        #expect(isSame)
        #expect(try metrics(folder).count == 6)
    }

    /// The algorithms of the first session hold, whatever the next would choose, also for
    /// evaluation.
    @Test func choicesComeFromTheCheckpoint() throws {
        let temporary = try TemporaryFolder()
        let direct = try trainer(temporary.run("direct"))
        var winograd = Session.Configuration.direct
        winograd.choices = direct.progress.choices.mapValues { _ in "winograd" }
        #expect(winograd.choices.keys.contains { $0.hasPrefix("forward-inference") })

        let whole = temporary.run("whole")
        let first = try trainer(whole, configuration: winograd)
        try run(first)
        let parts = temporary.run("parts")
        try run(trainer(parts, configuration: winograd), stopAfter: 8)
        let resumed = try trainer(parts)
        #expect(resumed.progress.choices == first.progress.choices)
        try run(resumed)
        try expectSame(parts, whole)
    }

    @Test func threadsThatShareTheWorkResumeToTheSameBytes() throws {
        let temporary = try TemporaryFolder()
        var recipe = tinyRecipe()
        recipe.threads = 2
        let whole = temporary.run("whole")
        try run(trainer(whole, recipe))
        let parts = temporary.run("parts")
        try run(trainer(parts, recipe), stopAfter: 8)
        try run(trainer(parts, recipe))
        try expectSame(parts, whole)
    }

    @Test(.enabled(if: Machine.hasBFloat16))
    func runsInBrainFloatsResumeToTheSameBytes() throws {
        let temporary = try TemporaryFolder()
        var recipe = tinyRecipe()
        let full = temporary.run("fp32")
        try run(trainer(full, recipe))
        recipe.precision = .bf16
        let whole = temporary.run("whole")
        try run(trainer(whole, recipe))
        let parts = temporary.run("parts")
        try run(trainer(parts, recipe), stopAfter: 5)
        try run(trainer(parts, recipe))
        let weights = try Data(contentsOf: URL(fileURLWithPath: whole.checkpointPath))
        #expect(try Data(contentsOf: URL(fileURLWithPath: parts.checkpointPath)) == weights)
        #expect(try Data(contentsOf: URL(fileURLWithPath: full.checkpointPath)) != weights)
    }

    @Test func anotherSeedEndsElsewhere() throws {
        let temporary = try TemporaryFolder()
        var recipe = tinyRecipe()
        recipe.epochs = 1
        let first = try trainer(temporary.run("first"), recipe)
        recipe.seed += 1
        let second = try trainer(temporary.run("second"), recipe)
        try run(first)
        try run(second)
        let isSame =
            first.parameters.tensor("dense.weight")
            == second.parameters.tensor("dense.weight")
        #expect(!isSame)
    }

    @Test func aChangedRecipeIsRefusedByName() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        try run(trainer(folder), stopAfter: 1)
        let changes: [(String, (inout Recipe) -> Void)] = [
            ("learning rate", { $0.learningRate = 0.01 }),
            ("batch", { $0.batch = 16 }), ("precision", { $0.precision = .bf16 }),
            ("threads", { $0.threads = 2 }),
            ("moving average", { $0.ema = nil }),
            ("optimizer", { $0.optimizer = .defaultSGD }),
            ("network", { $0.network = tinyNetwork(channels: 16) }),
        ]
        for (name, change) in changes {
            var recipe = tinyRecipe()
            change(&recipe)
            let text = message { _ = try trainer(folder, recipe) }
            #expect(text.contains("another \(name);"), "\(text)")
            #expect(text.contains(folder.checkpointPath))
        }
    }

    @Test func aRunThatDivergesKeepsItsLastCheckpoint() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        var recipe = tinyRecipe()
        recipe.optimizer = .defaultSGD
        recipe.learningRate = 1e30
        recipe.warmupEpochs = 0
        recipe.schedule = .constant
        recipe.clip = nil
        let diverging = try trainer(folder, recipe)
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.checkpointPath))
        var steps = 0
        let error = #expect(throws: NotFiniteError.self) {
            _ = try diverging.run(onEvent: { if case .step = $0 { steps += 1 } })
        }
        #expect(error?.step == steps + 1)
        #expect(steps < 6)
        #expect(error?.description.contains("in step \(steps + 1)") == true)
        let isSame = try Data(contentsOf: URL(fileURLWithPath: folder.checkpointPath)) == before
        #expect(isSame)
        let file = try Safetensors.read(folder.checkpointPath)
        let areFinite = file.tensors.allSatisfy {
            $0.tensor.tensor().elements.allSatisfy(\.isFinite)
        }
        #expect(areFinite)
        #expect(try trainer(folder, recipe).progress.step == 0)
    }
}
