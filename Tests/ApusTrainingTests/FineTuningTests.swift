import ApusFiles
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// Training that starts from given weights and leaves some of them alone.
@Suite struct FineTuningTests {
    private static let train = Squares(count: 200)
    private static let test = Squares(count: 60, name: "test")

    private func trainer(
        _ folder: RunFolder, _ recipe: Recipe, train: Squares = Self.train,
        test: Squares = Self.test, from: RunFolder? = nil
    ) throws -> Trainer {
        var recipe = recipe
        recipe.initial = from?.path
        return try Trainer(
            recipe, folder: folder, train: train, test: test,
            initial: from.map { from in { _ = try $0.start(from: from.path) } },
            configuration: .direct)
    }

    @discardableResult
    private func run(_ trainer: Trainer, stopAfter count: Int = .max) throws -> TrainingOutcome {
        var made = 0
        return try trainer.run(
            shouldStop: {
                made += 1
                return made == count
            })
    }

    private func tensors(_ folder: RunFolder) throws -> [String: Tensor] {
        let file = try Safetensors.read(folder.checkpointPath)
        return Dictionary(
            uniqueKeysWithValues: file.names.compactMap { name in
                file[name].map { (name, $0.tensor()) }
            })
    }

    private func metrics(_ folder: RunFolder) throws -> [Metrics] {
        try String(contentsOfFile: folder.metricsPath, encoding: .utf8).split(separator: "\n").map {
            var line = try JSONDecoder().decode(Metrics.self, from: Data($0.utf8))
            line.imagesPerSecond = nil
            return line
        }
    }

    /// A network that has learned three classes.
    private func pretrained(_ temporary: TemporaryFolder) throws -> RunFolder {
        let folder = temporary.run("pretrained")
        try run(trainer(folder, tinyRecipe()))
        return folder
    }

    /// A recipe for a fourth class, hence with a new head.
    private func fourClasses(_ frozen: FineTuning.Frozen) -> (Recipe, Squares, Squares) {
        var recipe = tinyRecipe(tinyNetwork(classes: 4))
        recipe.classNames = ["first", "second", "third", "fourth"]
        recipe.epochs = 6
        // The first run's seed would draw the head that its features were made for.
        recipe.seed = 11
        recipe.learningRate = 0.02
        recipe.fineTuning.frozen = frozen
        var train = Self.train
        train.classNames = recipe.classNames
        var test = Self.test
        test.classNames = recipe.classNames
        return (recipe, train, test)
    }

    @Test func aNewHeadLearnsOnFrozenFeatures() throws {
        let temporary = try TemporaryFolder()
        let source = try pretrained(temporary)
        let (recipe, train, test) = fourClasses(.allButHead)
        let folder = temporary.run("tuned")
        let tuning = try trainer(folder, recipe, train: train, test: test, from: source)
        #expect(tuning.frozenCount > 0)
        try run(tuning)
        let lines = try metrics(folder).filter { $0.phase == .evaluate }
        // A head that nobody trained guesses; then it is the only thing that can have learned.
        #expect(lines.first?.step == 0)
        #expect((lines.first?.accuracy ?? 1) < 0.6)
        #expect((lines.last?.accuracy ?? 0) > 0.9)

        let before = try tensors(source)
        let after = try tensors(folder)
        for (name, tensor) in after where !name.hasPrefix("optimizer.") && !name.contains("dense") {
            // Used weights are averages; both copies stay what the averages of the source are.
            let own = name.hasPrefix("ema.") ? name : "ema." + name
            #expect(tensor == before[own], "\(name)")
        }
        #expect(after.keys.contains { $0.hasSuffix("running_var") })
        for (name, tensor) in after where name.hasPrefix("optimizer.") {
            let moved = tensor.elements.contains { $0 != 0 }
            #expect(moved == name.contains("dense"), "\(name)")
        }
    }

    @Test func frozenLayersStayAndOthersMove() throws {
        let temporary = try TemporaryFolder()
        let source = try pretrained(temporary)
        let (recipe, train, test) = fourClasses(.layers(["conv", "block.norm"]))
        let folder = temporary.run("tuned")
        try run(trainer(folder, recipe, train: train, test: test, from: source), stopAfter: 7)
        let before = try tensors(source)
        let after = try tensors(folder)
        for name in after.keys where before["ema." + name] != nil && !name.contains("dense") {
            let isFrozen = name == "conv.weight" || name.hasPrefix("block.norm.")
            #expect((after[name] == before["ema." + name]) == isFrozen, "\(name)")
        }
    }

    @Test func frozenRunsResumeToTheSameBytes() throws {
        let temporary = try TemporaryFolder()
        let source = try pretrained(temporary)
        var recipe = tinyRecipe()
        recipe.fineTuning = FineTuning(
            frozen: .layers(["norm"]), backboneRate: 0.3, rateDecay: 0.7)
        let whole = temporary.run("whole")
        try run(trainer(whole, recipe, from: source))
        let parts = temporary.run("parts")
        for stop in [1, 4, 9] {
            try run(trainer(parts, recipe, from: source), stopAfter: stop)
        }
        try run(trainer(parts, recipe, from: source))
        let isSame =
            try Data(contentsOf: URL(fileURLWithPath: parts.checkpointPath))
            == Data(contentsOf: URL(fileURLWithPath: whole.checkpointPath))
        #expect(isSame, "the checkpoints differ")
        #expect(try metrics(parts) == metrics(whole))
    }

    /// With the same classes nothing is drawn: the first evaluation is the last of the source.
    @Test func theFirstEvaluationIsOfTheGivenWeights() throws {
        let temporary = try TemporaryFolder()
        let source = try pretrained(temporary)
        let folder = temporary.run("tuned")
        try run(trainer(folder, tinyRecipe(), from: source), stopAfter: 1)
        let first = try metrics(folder).first
        let last = try metrics(source).last
        #expect(first?.step == 0 && first?.phase == .evaluate)
        #expect(first?.loss == last?.loss && first?.accuracy == last?.accuracy)
        #expect((last?.accuracy ?? 0) > 0.5)
    }

    @Test func ratesFallWithTheDistanceFromTheHead() throws {
        let network = try Models.named("resnet20-cifar")
        let factors = try FineTuning(frozen: .stem, backboneRate: 0.1, rateDecay: 0.5)
            .rateFactors(network)
        #expect(factors.count == (try network.graph(batch: 1, mode: .inference)).parameters.count)
        #expect(factors["linear.weight"] == 1 && factors["linear.bias"] == 1)
        #expect(factors["layer3.2.bn2.bias"] == 0.05)
        #expect(factors["layer2.0.conv1.weight"] == 0.025)
        #expect(factors["layer1.1.bn1.weight"] == 0.0125)
        #expect(factors["conv1.weight"] == 0 && factors["bn1.bias"] == 0)
        #expect(try FineTuning().rateFactors(network).isEmpty)
    }

    @Test func factorsScaleUpdatesAndDecay() throws {
        let graph = try tinyNetwork().lossGraph(batch: 2)
        for recipe in [
            OptimizerRecipe.defaultSGD, .defaultAdamW, .sgd(momentum: 0.9, nesterov: true),
        ] {
            func moved(_ factors: [String: Float]) -> [String: [Float]] {
                let store = ParameterStore(graph, seed: 3)
                store.allocateGradients()
                let key = RandomKey(seed: 9)
                for i in 0..<store.gradientBlock.count {
                    store.gradientBlock.base[i] = key.uniform(at: i) - 0.5
                }
                let before = store.tensors()
                let optimizer = Optimizer(
                    recipe, weightDecay: 0.1, rateFactors: factors, for: store)
                optimizer.step(rate: 0.125, threads: 1)
                let pairs = before.compactMap { name, old in
                    store.tensor(name).map { new in
                        (name, zip(new.elements, old.elements).map { $0 - $1 })
                    }
                }
                return Dictionary(uniqueKeysWithValues: pairs)
            }
            let plain = moved([:])
            let scaled = moved(["conv.weight": 0.5, "norm.weight": 0.5, "block.conv.weight": 0])
            for (name, steps) in plain {
                let factor: Float =
                    switch name {
                    case "conv.weight", "norm.weight": 0.5
                    case "block.conv.weight": 0
                    default: 1
                    }
                let own = try #require(scaled[name])
                for (a, b) in zip(own, steps) { #expect(abs(a - factor * b) < 1e-6, "\(name)") }
                if factor == 0 { #expect(own.allSatisfy { $0 == 0 }) }
            }
        }
    }

    @Test func mistakesAreNamed() throws {
        let network = try Models.named("resnet20-cifar")
        func text(_ tuning: FineTuning) -> String {
            message { _ = try tuning.rateFactors(network) }
        }
        #expect(
            text(FineTuning(frozen: .layers(["layer9"])))
                == "--freeze layer9: resnet20-cifar has no layer of this path with parameters; its "
                + "stages are layer1, layer2, layer3")
        // A prefix of a name is not a path.
        #expect(text(FineTuning(frozen: .layers(["layer"]))).contains("no layer of this path"))
        let all = ["conv1", "bn1", "layer1", "layer2", "layer3", "linear"]
        #expect(text(FineTuning(frozen: .layers(all))).contains("nothing of resnet20-cifar"))
        #expect(
            message { _ = try FineTuning(frozen: .stem).rateFactors(tinyNetwork()) }
                .contains("has no stages"))
        var recipe = tinyRecipe()
        for value in [0, -1, 1.5, Float.nan] {
            recipe.fineTuning = FineTuning(backboneRate: value)
            #expect(message { try recipe.validate() }.contains("--backbone-rate"))
            recipe.fineTuning = FineTuning(rateDecay: value)
            #expect(message { try recipe.validate() }.contains("--rate-decay"))
        }
    }

    @Test func aRunKeepsItsFineTuning() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.run("run")
        var recipe = tinyRecipe()
        recipe.fineTuning.frozen = .layers(["conv"])
        try run(trainer(folder, recipe), stopAfter: 1)
        recipe.fineTuning.frozen = .nothing
        let text = message { _ = try trainer(folder, recipe) }
        #expect(text.contains("another fine-tuning;"), "\(text)")
        recipe.fineTuning.frozen = .layers(["conv"])
        let other = message { _ = try trainer(folder, recipe, from: temporary.run("x")) }
        #expect(other.contains("another starting weights;"), "\(other)")
    }

    @Test func recipesOfEarlierVersionsTrainEverything() throws {
        var recipe = tinyRecipe()
        recipe.fineTuning = FineTuning(frozen: .layers(["a", "b"]), backboneRate: 0.5)
        recipe.initial = "runs/x"
        let data = try JSONEncoder().encode(recipe)
        #expect(try JSONDecoder().decode(Recipe.self, from: data) == recipe)
        var object = try #require(
            JSONSerialization.jsonObject(with: data) as? [String: Any])
        object["fineTuning"] = nil
        object["initial"] = nil
        let old = try JSONDecoder().decode(
            Recipe.self, from: JSONSerialization.data(withJSONObject: object))
        #expect(old.fineTuning == FineTuning() && old.initial == nil)
    }
}
