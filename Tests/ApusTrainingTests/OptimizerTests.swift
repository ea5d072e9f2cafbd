import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct OptimizerTests {
    /// Parameters of every role whose counts do not fill cache lines.
    private func store() throws -> ParameterStore {
        var builder = GraphBuilder(mode: .training)
        for (name, shape, role) in [
            ("weight", [7, 5], .weight), ("bias", [7], .bias), ("scale", [3], .scale),
            ("shift", [3], .shift), ("last", [33, 65], .weight),
        ] as [(String, Shape, ParameterInfo.Role)] {
            _ = try builder.parameter(name, shape, .heNormal(.in), role: role)
        }
        let store = ParameterStore(builder.graph, seed: 1)
        store.allocateGradients()
        return store
    }

    private func setGradients(_ store: ParameterStore, _ value: (String, Int) -> Float) {
        for slot in store.parameters {
            for i in 0..<slot.shape.count {
                store.gradientBlock.base[slot.offset + i] = value(slot.name, i)
            }
        }
    }

    private static func signed(_ name: String, _ index: Int) -> Float {
        2 * RandomKey(state: RandomKey.hash(name)).uniform(at: index) - 1
    }

    private struct AdamWFile: Decodable {
        let learning_rate: Float
        let weight_decay: Float
        let betas: [Float]
        let epsilon: Float
        let steps: [TensorBrief]
    }

    @Test(arguments: [1, 2]) func adamWMatchesPyTorch(threads: Int) throws {
        let file = try JSONDecoder().decode(AdamWFile.self, from: fixture("adamw.json"))
        let shape = try #require(file.steps.first?.shape)
        var builder = GraphBuilder(mode: .training)
        _ = try builder.parameter("w", shape, .constant(0), role: .weight)
        let store = ParameterStore(builder.graph, seed: 0)
        store.allocateGradients()
        let start = (0..<shape.count).map { Self.signed("adamw-weight", $0) }
        try store.set("w", Tensor(shape, start))
        let optimizer = Optimizer(
            .adamW(beta1: file.betas[0], beta2: file.betas[1], epsilon: file.epsilon),
            weightDecay: file.weight_decay, for: store)
        for (index, expected) in file.steps.enumerated() {
            setGradients(store) { _, i in 0.1 * Self.signed("adamw-gradient-\(index)", i) }
            optimizer.step(rate: file.learning_rate, threads: threads)
            let own = try #require(store.tensor("w")).elements.map(Double.init)
            let brief = TensorBrief(shape, own)
            #expect(abs(brief.l2 - expected.l2) < 1e-6 * expected.l2, "step \(index)")
            #expect(abs(brief.sum - expected.sum) < 1e-5 * expected.l2, "step \(index)")
            for (a, b) in zip(brief.first, expected.first) {
                #expect(abs(a - b) < 1e-6, "step \(index)")
            }
        }
    }

    @Test(arguments: [(Float(0), false), (0.9, false), (0.9, true)])
    func sgdMatchesTheFormula(momentum: Float, nesterov: Bool) throws {
        let store = try store()
        let optimizer = Optimizer(
            .sgd(momentum: momentum, nesterov: nesterov), weightDecay: 0.01, for: store)
        let (m, rate, factor) = (Double(momentum), 0.05, 0.5)
        var weights = store.parameters.map { slot in
            store.tensor(slot.name)?.elements.map(Double.init) ?? []
        }
        var velocities = weights.map { [Double](repeating: 0, count: $0.count) }
        for step in 0..<5 {
            let gradient = { (name: String, i: Int) in Self.signed("\(name) \(step)", i) }
            setGradients(store, gradient)
            optimizer.step(rate: Float(rate), gradientFactor: Float(factor), threads: 2)
            for (k, slot) in store.parameters.enumerated() {
                let decay = slot.name == "weight" || slot.name == "last" ? 0.01 : 0
                for i in weights[k].indices {
                    let d = Double(gradient(slot.name, i)) * factor + decay * weights[k][i]
                    velocities[k][i] = m * velocities[k][i] + d
                    weights[k][i] -= rate * (nesterov ? d + m * velocities[k][i] : velocities[k][i])
                }
            }
        }
        for (slot, expected) in zip(store.parameters, weights) {
            let own = try #require(store.tensor(slot.name)).elements
            let error = zip(own, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
            #expect(error < 1e-6, "\(slot.name)")
        }
    }

    @Test(arguments: [OptimizerRecipe.sgd(momentum: 0, nesterov: false), .defaultAdamW])
    func onlyWeightsDecay(recipe: OptimizerRecipe) throws {
        for everything in [false, true] {
            let store = try store()
            let before = store.tensors()
            let optimizer = Optimizer(
                recipe, weightDecay: 0.1, decaysEverything: everything, for: store)
            optimizer.step(rate: 0.5, threads: 1)
            for (name, old) in before {
                let decays = everything || name == "weight" || name == "last"
                let new = try #require(store.tensor(name))
                for (a, b) in zip(new.elements, old.elements) {
                    let expected = decays ? 0.95 * b : b
                    #expect(abs(a - expected) <= 1e-6 * abs(b), "\(name)")
                }
            }
        }
    }

    @Test func threadsDoNotMatter() throws {
        var results: [[Tensor]] = []
        for threads in [1, 2, 3] {
            let store = try store()
            let optimizer = Optimizer(.defaultAdamW, weightDecay: 0.1, for: store)
            for step in 0..<2 {
                setGradients(store) { Self.signed("\($0) \(step)", $1) }
                optimizer.step(rate: 0.01, threads: threads)
            }
            results.append(store.tensors().map(\.tensor))
        }
        let isSame = results[1] == results[0] && results[2] == results[0]
        #expect(isSame)
    }

    @Test func theNormIsOfAllGradients() throws {
        let store = try store()
        setGradients(store) { _, _ in 2 }
        let count = store.parameters.map(\.shape.count).reduce(0, +)
        let expected = 2 * Float(count).squareRoot()
        let norm = Optimizer(.defaultSGD, for: store).gradientNorm()
        #expect(abs(norm - expected) < 1e-5 * expected)
    }

    /// Plain descent moves by the clipped gradient, in the direction of the whole one.
    @Test func clippingShortensOnlyLongGradients() throws {
        let network = tinyNetwork()
        let images = Tensor([4, 1, 12, 12], (0..<576).map { Self.signed("images", $0) })
        func change(clip: Float?) throws -> (norm: Float, length: Float, change: [Float]) {
            let store = ParameterStore(try network.graph(batch: 1, mode: .training), seed: 2)
            let session = try Session.training(
                network, batch: 4, parameters: store, configuration: .direct)
            let before = store.parameterBlock.buffer.map(\.self)
            let result = try session.step(
                images: images, labels: [0, 1, 2, 0],
                optimizer: Optimizer(.sgd(momentum: 0, nesterov: false), for: store), rate: 1,
                clip: clip)
            let change = zip(store.parameterBlock.buffer, before).map { $0 - $1 }
            let squares = change.reduce(0) { $0 + $1 * $1 }
            return (result.gradientNorm, squares.squareRoot(), change)
        }
        let free = try change(clip: nil)
        #expect(abs(free.length - free.norm) < 1e-4 * free.norm)
        let loose = try change(clip: 2 * free.norm)
        let isFree = loose.change == free.change
        #expect(isFree)
        let tight = try change(clip: 0.25 * free.norm)
        #expect(tight.norm == free.norm)
        #expect(abs(tight.length - 0.25 * free.norm) < 1e-4 * free.norm)
        let dot = zip(tight.change, free.change).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(dot > 0.9999 * tight.length * free.length)
    }

    @Test func theAverageFollowsAndTakesStatisticsOver() throws {
        let graph = try tinyNetwork().graph(batch: 1, mode: .training)
        let store = ParameterStore(graph, seed: 1)
        let average = ParameterStore(graph, seed: 1)
        average.copy(store)
        var expected = store.tensors().map { $0.tensor.elements.map(Double.init) }
        for step in [0, 1, 500] {
            for slot in store.parameters + store.buffers {
                let values = (0..<slot.shape.count).map { Self.signed("\(slot.name) \(step)", $0) }
                try store.set(slot.name, Tensor(slot.shape, values))
            }
            average.follow(store, keep: 0.9, step: step, threads: 1)
            let keep = min(0.9, Double(1 + step) / Double(10 + step))
            for (k, (_, tensor)) in store.tensors().enumerated() {
                let isBuffer = k >= store.parameters.count
                for (i, value) in tensor.elements.enumerated() {
                    let share = isBuffer ? 0 : keep
                    expected[k][i] = share * expected[k][i] + (1 - share) * Double(value)
                }
            }
        }
        for ((name, tensor), values) in zip(average.tensors(), expected) {
            let error = zip(tensor.elements, values).map { abs(Double($0) - $1) }.max() ?? 1
            #expect(error < 1e-6, "\(name)")
        }
    }
}
