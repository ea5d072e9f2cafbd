import ApusData
import ApusFiles
import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct PretrainerTests {
    private func pretrainer(
        _ folder: RunFolder, _ recipe: PretrainingRecipe, count: Int = 100
    ) throws -> Pretrainer {
        try Pretrainer(
            recipe, folder: folder, source: Squares(count: count), configuration: .direct)
    }

    private func bytes(_ path: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: path))
    }

    private func metrics(_ folder: RunFolder) throws -> [Metrics] {
        try String(contentsOfFile: folder.metricsPath, encoding: .utf8).split(separator: "\n").map {
            var line = try JSONDecoder().decode(Metrics.self, from: Data($0.utf8))
            line.imagesPerSecond = nil
            return line
        }
    }

    private func expectSame(_ folder: RunFolder, _ reference: RunFolder) throws {
        let isSame = try bytes(folder.checkpointPath) == bytes(reference.checkpointPath)
        #expect(isSame, "the checkpoints differ")
        #expect(try metrics(folder) == metrics(reference))
    }

    private func recipe(_ method: PretrainingRecipe.Method) throws -> PretrainingRecipe {
        var recipe = try pretrainingRecipe(method)
        var online = OnlineProbe.Recipe()
        online.kinds = method == .byol ? [.linear] : [.knn, .linear]
        online.images = 60
        recipe.online = online
        return recipe
    }

    /// Nine steps in three epochs of 100 images; 4 images an epoch fill no batch.
    @Test(arguments: PretrainingRecipe.Method.allCases, [[1], [3], [4, 2], [8]])
    func aStoppedRunEndsWithTheSameBytes(
        method: PretrainingRecipe.Method, stops: [Int]
    ) throws {
        let temporary = try TemporaryFolder()
        let recipe = try recipe(method)
        let whole = temporary.run("whole")
        #expect(try pretrainer(whole, recipe).run())
        #expect(try metrics(whole).map(\.step) == [3, 6, 9])
        #expect(try metrics(whole).allSatisfy { $0.probes != nil && $0.embeddings != nil })

        let parts = temporary.run("parts")
        for stop in stops {
            var made = 0
            let isDone = try pretrainer(parts, recipe).run(
                shouldStop: {
                    made += 1
                    return made == stop
                })
            #expect(!isDone)
        }
        let last = try pretrainer(parts, recipe)
        #expect(last.progress.step == stops.reduce(0, +))
        #expect(try last.run())
        try expectSame(parts, whole)
        #expect(try pretrainer(parts, recipe).run())
        try expectSame(parts, whole)
    }

    /// A kill at a random step leaves the last checkpoint and whatever metrics came after it.
    @Test(arguments: PretrainingRecipe.Method.allCases)
    func aKilledRunEndsWithTheSameBytes(method: PretrainingRecipe.Method) throws {
        let temporary = try TemporaryFolder()
        let recipe = try recipe(method)
        let whole = temporary.run("whole")
        let killed = temporary.run("killed")
        let kill = Int.random(in: 1...9)
        _ = try pretrainer(whole, recipe).run(onEvent: { event in
            if case .step(let report) = event, report.step == kill {
                try? FileManager.default.copyItem(atPath: whole.path, toPath: killed.path)
            }
        })
        let resumed = try pretrainer(killed, recipe)
        #expect(resumed.progress.step == (kill - 1) / 3 * 3, "killed in step \(kill)")
        #expect(try resumed.run())
        try expectSame(killed, whole)
    }

    @Test func aChangedRecipeIsRefusedByName() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        var recipe = try pretrainingRecipe()
        _ = try pretrainer(folder, recipe).run(shouldStop: { true })
        recipe.loss = .ntXent(temperature: 0.1)
        recipe.learningRate = 0.1
        let text = message { _ = try pretrainer(folder, recipe) }
        #expect(text.contains("another learning rate, loss;"), "\(text)")
        let other = message { _ = try Checkpoint.recipe(of: folder) }
        #expect(other.contains("pretrained encoder"))
    }

    /// What else reads: names as agreed, and an encoder that can be used.
    @Test func theCheckpointHoldsWhatIsUsedLater() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        let recipe = try pretrainingRecipe(.byol)
        let trainer = try pretrainer(folder, recipe)
        #expect(try trainer.run())
        let file = try Safetensors.read(folder.checkpointPath)
        #expect(try PretrainingRecipe(of: folder) == recipe)
        for name in [
            "conv.weight", "norm.running_mean", "head.dense1.weight", "head.norm1.running_var",
            "predictor.dense2.bias", "target.conv.weight", "target.norm.running_mean",
            "target.head.dense2.bias", "optimizer.velocity.head.dense2.weight",
        ] { #expect(file[name] != nil, "\(name)") }
        #expect(file["target.predictor.dense1.weight"] == nil && file["dense.weight"] == nil)
        let encoder = ParameterStore(
            try recipe.encoder.graph(batch: 1, mode: .inference), seed: 0)
        try encoder.load(file, from: folder.checkpointPath)
        #expect(encoder.tensor("conv.weight") == trainer.parameters.tensor("conv.weight"))
    }

    @Test func aRunThatDivergesKeepsItsLastCheckpoint() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        var recipe = try pretrainingRecipe()
        recipe.optimizer = .defaultSGD
        recipe.learningRate = 1e30
        recipe.warmupEpochs = 0
        let diverging = try pretrainer(folder, recipe)
        let before = try bytes(folder.checkpointPath)
        #expect(throws: NotFiniteError.self) { _ = try diverging.run() }
        #expect(try bytes(folder.checkpointPath) == before)
    }

    /// The frozen encoder is only read: neither weights nor running statistics change.
    @Test(arguments: OnlineProbe.Kind.allCases) func probesChangeNothing(
        kind: OnlineProbe.Kind
    ) throws {
        let temporary = try TemporaryFolder()
        var plain = try pretrainingRecipe()
        plain.epochs = 2
        let without = try pretrainer(temporary.run("without"), plain)
        #expect(try without.run())
        var probed = plain
        var online = OnlineProbe.Recipe()
        online.kinds = [kind]
        online.images = 50
        probed.online = online
        let with = try pretrainer(temporary.run("with"), probed)
        #expect(try with.run())
        let areSame =
            with.parameters.parameterBlock.buffer.elementsEqual(
                without.parameters.parameterBlock.buffer)
            && with.parameters.bufferBlock.buffer.elementsEqual(
                without.parameters.bufferBlock.buffer)
        #expect(areSame)
    }

    /// The target follows by its schedule and has no gradient of its own.
    @Test func theTargetFollows() throws {
        let temporary = try TemporaryFolder()
        var recipe = try pretrainingRecipe(.byol)
        recipe.epochs = 1
        let trainer = try pretrainer(temporary.run("run"), recipe)
        let target = try #require(trainer.target)
        var expected = try #require(target.tensor("conv.weight")).elements.map(Double.init)
        #expect(target.tensor("conv.weight") == trainer.parameters.tensor("conv.weight"))
        _ = try trainer.run(onEvent: { event in
            guard case .step(let report) = event else { return }
            let angle = Double.pi * Double(report.step - 1) / 3
            let share = 1 - (1 - 0.9) * (cos(angle) + 1) / 2
            let online = trainer.parameters.tensor("conv.weight")?.elements ?? []
            for i in expected.indices {
                expected[i] = share * expected[i] + (1 - share) * Double(online[i])
            }
        })
        let own = try #require(target.tensor("conv.weight")).elements
        let error = zip(own, expected).map { abs(Double($0) - $1) }.max() ?? 1
        #expect(error < 1e-6)
        #expect(target.tensor("conv.weight") != trainer.parameters.tensor("conv.weight"))
    }

    /// Pairs are recognized better and better, for each method and loss.
    @Test(arguments: [
        (PretrainingRecipe.Method.simclr, ContrastiveLoss.ntXent(temperature: 0.5)),
        (.simclr, .supervised(temperature: 0.5)), (.byol, .ntXent(temperature: 0.5)),
    ])
    func theLossFalls(method: PretrainingRecipe.Method, loss: ContrastiveLoss) throws {
        let temporary = try TemporaryFolder()
        var recipe = try pretrainingRecipe(method)
        recipe.loss = loss
        recipe.optimizer = .defaultAdamW
        recipe.learningRate = 0.01
        recipe.epochs = 8
        let folder = temporary.run("run")
        #expect(try pretrainer(folder, recipe, count: 128).run())
        let lines = try metrics(folder)
        let (first, last) = (try #require(lines.first), try #require(lines.last))
        #expect(last.loss < 0.9 * first.loss)
        #expect(try #require(last.embeddings).spread > 0.3)
        if method == .simclr, !loss.isSupervised { #expect(last.accuracy > first.accuracy) }
    }

    @Test func whatMakesNoSenseIsSaid() throws {
        let temporary = try TemporaryFolder()
        let changes: [(String, (inout PretrainingRecipe) throws -> Void)] = [
            ("--chunk must divide", { $0.chunk = 15 }), ("--epochs", { $0.epochs = 0 }),
            ("--temperature", { $0.loss = .ntXent(temperature: 0) }),
            ("two views", { $0.views.removeLast() }),
            (
                "needs labels",
                {
                    $0.classNames = []
                    $0.loss = .supervised(temperature: 1)
                }
            ),
            (
                "larger than the 100 images",
                {
                    $0.batch = 128
                    $0.chunk = 64
                }
            ),
            ("--warmup", { $0.warmupEpochs = 4 }),
        ]
        for (words, change) in changes {
            var recipe = try pretrainingRecipe()
            try change(&recipe)
            let text = message { _ = try pretrainer(temporary.run("none"), recipe) }
            #expect(text.contains(words), "\(text)")
        }
        #expect(!temporary.run("none").hasCheckpoint)
    }
}
