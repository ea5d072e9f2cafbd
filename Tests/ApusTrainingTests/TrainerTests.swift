import ApusData
import ApusFiles
import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct TrainerTests {
    /// Corners are told apart by any network that learns at all.
    @Test(arguments: [OptimizerRecipe.defaultAdamW, .defaultSGD])
    func learnsToTellCornersApart(optimizer: OptimizerRecipe) throws {
        let temporary = try TemporaryFolder()
        var recipe = tinyRecipe()
        recipe.epochs = 6
        recipe.optimizer = optimizer
        if case .sgd = optimizer { recipe.learningRate = 0.05 }
        let folder = temporary.run("run")
        let test = Squares(count: 150, name: "test")
        let trainer = try Trainer(
            recipe, folder: folder, train: Squares(count: 384), test: test,
            configuration: .direct)
        guard case .finished(let evaluation?) = try trainer.run() else {
            Issue.record("the run did not finish")
            return
        }
        #expect(evaluation.images == 150)
        #expect(evaluation.top1 > 0.95, "\(evaluation.top1)")
        #expect(evaluation.top5 == 1)
        #expect(evaluation.confusion.joined().reduce(0, +) == 150)

        // The checkpoint alone gives the same answers, by the averaged weights.
        let file = try Safetensors.read(folder.checkpointPath)
        let saved = try Checkpoint.recipe(file, folder.checkpointPath)
        #expect(saved == recipe)
        let graph = try saved.network.graph(batch: 1, mode: .inference)
        let store = ParameterStore(graph, seed: 9)
        try Checkpoint.loadForUse(file, into: store, from: folder.checkpointPath)
        let evaluator = try Evaluator(
            saved.network, parameters: store, batch: 32, configuration: configuration(saved))
        let loader = try Loader(
            source: test, preprocessing: saved.preprocessing,
            options: .evaluation(batchSize: 32))
        #expect(try evaluator.evaluate(loader) == evaluation)
    }

    private func configuration(_ recipe: Recipe) -> Session.Configuration {
        var configuration = Session.Configuration.direct
        configuration.threads = recipe.threads
        return configuration
    }

    /// What `Trainer` says to a recipe and data that do not fit together.
    private func refusal(
        _ recipe: Recipe = tinyRecipe(), train: Squares = Squares(count: 64),
        test: Squares? = nil
    ) throws -> String {
        let temporary = try TemporaryFolder()
        return message {
            let trainer = try Trainer(
                recipe, folder: temporary.run("run"), train: train, test: test,
                configuration: .direct)
            _ = try trainer.run()
        }
    }

    @Test func aBatchLargerThanTheDataIsRefused() throws {
        var recipe = tinyRecipe()
        recipe.batch = 65
        let text = try refusal(recipe)
        #expect(text.contains("65") && text.contains("64") && text.contains("--batch"))
    }

    @Test func outputsThatAreNotTheClassesAreRefused() throws {
        let text = try refusal(tinyRecipe(tinyNetwork(classes: 4)))
        #expect(text.contains("4 outputs") && text.contains("3 classes"))
    }

    @Test func dataOfOtherClassesIsRefused() throws {
        let four = Squares(count: 64, classNames: ["a", "b", "c", "d"])
        let three = Squares(count: 64)
        for text in [try refusal(train: four), try refusal(train: three, test: four)] {
            #expect(text.contains("the data has 4 classes, the recipe 3"))
        }
    }

    @Test func imagesOfAnotherSizeAreRefused() throws {
        for text in [
            try refusal(train: Squares(count: 64, side: 14)),
            try refusal(train: Squares(count: 64), test: Squares(count: 64, side: 14)),
        ] {
            #expect(text.contains("1x12x12") && text.contains("1x14x14"), "\(text)")
        }
    }

    @Test func senselessSettingsAreRefusedByName() throws {
        let changes: [(String, (inout Recipe) -> Void)] = [
            ("--epochs", { $0.epochs = 0 }), ("--batch", { $0.batch = 0 }),
            ("--threads", { $0.threads = 0 }), ("--lr", { $0.learningRate = .nan }),
            ("--lr", { $0.learningRate = 0 }), ("--warmup", { $0.warmupEpochs = -1 }),
            ("--weight-decay", { $0.weightDecay = -1 }),
            ("--label-smoothing", { $0.labelSmoothing = 1 }), ("--clip", { $0.clip = 0 }),
            ("--ema", { $0.ema = 1 }),
        ]
        for (flag, change) in changes {
            var recipe = tinyRecipe()
            change(&recipe)
            let text = try refusal(recipe)
            #expect(text.contains(flag), "\(text)")
        }
    }

    // MARK: - Files

    /// A run folder with the checkpoint of a run that made one step.
    private func startedRun(_ temporary: TemporaryFolder) throws -> RunFolder {
        let folder = temporary.run("run")
        let trainer = try Trainer(
            tinyRecipe(), folder: folder, train: Squares(count: 64), test: nil,
            configuration: .direct)
        _ = try trainer.run(shouldStop: { true })
        return folder
    }

    @Test func weightsOfAnotherNetworkAreRefusedWithBothShapes() throws {
        let temporary = try TemporaryFolder()
        let path = try startedRun(temporary).checkpointPath
        let wide = try tinyNetwork(channels: 16).graph(batch: 1, mode: .inference)
        let store = ParameterStore(wide, seed: 5)
        let before = store.tensors().map(\.tensor)
        let file = try Safetensors.read(path)
        let text = message { try Checkpoint.loadForUse(file, into: store, from: path) }
        #expect(text.contains(path) && text.contains("conv.weight"))
        #expect(text.contains("8x1x3x3") && text.contains("16x1x3x3"))
        let isUntouched = store.tensors().map(\.tensor) == before
        #expect(isUntouched)
    }

    @Test func aMissingTensorIsNamed() throws {
        let temporary = try TemporaryFolder()
        let path = temporary.path + "/some.safetensors"
        try Safetensors.write(tensors: [("other", Tensor([1]))], to: path)
        let graph = try tinyNetwork().graph(batch: 1, mode: .inference)
        let store = ParameterStore(graph, seed: 5)
        let file = try Safetensors.read(path)
        let missing = message { try store.load(file, from: path) }
        #expect(missing.contains("has no 'conv.weight' (8x1x3x3)"), "\(missing)")
        let recipe = message { _ = try Checkpoint.recipe(file, path) }
        #expect(recipe.contains("--model"))
    }

    @Test(arguments: [0, 7, 100, 3000, -1]) func aTruncatedCheckpointIsRefused(
        length: Int
    ) throws {
        let temporary = try TemporaryFolder()
        let folder = try startedRun(temporary)
        let url = URL(fileURLWithPath: folder.checkpointPath)
        let data = try Data(contentsOf: url)
        try data.prefix(length < 0 ? data.count + length : length).write(to: url)
        let text = message {
            _ = try Trainer(
                tinyRecipe(), folder: folder, train: Squares(count: 64), test: nil,
                configuration: .direct)
        }
        #expect(text.contains(folder.checkpointPath), "\(text)")
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let text = message {
            _ = try Trainer(
                tinyRecipe(), folder: RunFolder("/dev/null/run"), train: Squares(count: 64),
                test: nil, configuration: .direct)
        }
        #expect(text.contains("/dev/null/run") && text.contains("--out"), "\(text)")
    }
}
