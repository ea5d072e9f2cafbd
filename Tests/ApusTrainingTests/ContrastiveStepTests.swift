import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct ContrastiveStepTests {
    /// The chunks of the first batch.
    private func batches(_ recipe: PretrainingRecipe) throws -> [Batch] {
        let loader = try Loader(
            source: Squares(count: 64), preprocessing: recipe.preprocessing, views: recipe.views,
            options: LoaderOptions(batchSize: recipe.chunk, seed: recipe.seed, workers: 1))
        defer { loader.stop() }
        return try (0..<recipe.batch / recipe.chunk).map { _ in try #require(try loader.next()) }
    }

    private func step(
        _ recipe: PretrainingRecipe
    ) throws -> (step: ContrastiveStep, store: ParameterStore, target: ParameterStore?) {
        let graphs = PretrainingGraph(recipe)
        let store = ParameterStore(try graphs.online(images: 2), seed: recipe.seed)
        store.allocateGradients()
        let target =
            recipe.method == .byol
            ? ParameterStore(try graphs.target(images: 2), seed: recipe.seed + 1) : nil
        let step = try ContrastiveStep(
            recipe, parameters: store, target: target, configuration: .direct)
        return (step, store, target)
    }

    private func gradients(_ store: ParameterStore) -> [(String, [Float])] {
        store.parameters.map { ($0.name, store.gradient($0.name)?.elements ?? []) }
    }

    /// Without batch norm a batch in chunks has the gradient of the batch in one piece.
    @Test(arguments: PretrainingRecipe.Method.allCases, [2, 4, 16])
    func chunksHaveTheGradientOfTheBatch(method: PretrainingRecipe.Method, chunk: Int) throws {
        var recipe = try pretrainingRecipe(
            method, model: plainNetwork(), head: .linear(dimension: 8))
        recipe.predictor = recipe.predictor.map { _ in
            ProjectionHead.linear(dimension: 8).network(features: 8, name: "predictor")
        }
        recipe.loss = .ntXent(temperature: 0.2)
        recipe.chunk = recipe.batch
        let whole = try step(recipe)
        let expected = whole.step.gradient(try batches(recipe), key: RandomKey(seed: 1))
        recipe.chunk = chunk
        let parts = try step(recipe)
        let result = parts.step.gradient(try batches(recipe), key: RandomKey(seed: 1))
        #expect(abs(result.loss - expected.loss) < 1e-6 * expected.loss)
        #expect(result.accuracy == expected.accuracy)
        // In 32 bits sums over images round differently in parts: no more than that.
        var (squares, errors) = (0.0, 0.0)
        for ((name, a), (_, b)) in zip(gradients(parts.store), gradients(whole.store)) {
            #expect(b.contains { $0 != 0 }, "\(name)")
            for (x, y) in zip(a, b) {
                squares += Double(y) * Double(y)
                errors += Double(x - y) * Double(x - y)
            }
        }
        let error = (errors / squares).squareRoot()
        #expect(error < 1e-6, "\(error)")
    }

    /// Both passes zero the same elements: the gradient is that of the loss the first pass gave.
    @Test func dropoutIsTheSameInBothPasses() throws {
        var recipe = try pretrainingRecipe(
            model: plainNetwork(dropout: 0.4), head: .linear(dimension: 8))
        recipe.loss = .ntXent(temperature: 0.3)
        let (step, store, _) = try step(recipe)
        let batches = try batches(recipe)
        let key = RandomKey(seed: 9)
        _ = step.gradient(batches, key: key)
        let slope = store.gradientBlock.buffer.map(\.self)
        let squares = slope.reduce(0.0) { $0 + Double($1) * Double($1) }
        let start = store.parameterBlock.buffer.map(\.self)
        func loss(_ length: Float) -> Double {
            for i in start.indices { store.parameterBlock.base[i] = start[i] + length * slope[i] }
            store.markChanged()
            return recipe.loss(step.projections(batches.map(\.images), key: key)).loss
        }
        let length = Float(0.01 / squares.squareRoot())
        let rise = (loss(length) - loss(-length)) / Double(2 * length)
        #expect(abs(rise - squares) < 0.02 * squares, "\(rise) for \(squares)")
    }

    /// Running statistics move once a chunk, as if there were no first pass; target networks' too.
    @Test(arguments: PretrainingRecipe.Method.allCases)
    func statisticsMoveOnceAChunk(method: PretrainingRecipe.Method) throws {
        let recipe = try pretrainingRecipe(method)
        let own = try step(recipe)
        let batches = try batches(recipe)
        let key = RandomKey(seed: 2)
        _ = own.step.gradient(batches, key: key)
        let other = try step(recipe)
        for (index, batch) in batches.enumerated() {
            for session in [other.step.session, other.step.targetSession].compactMap(\.self) {
                session.setInput("images", batch.images.elements)
                session.runForward(randomKey: key.child(index))
            }
        }
        let isSame = own.store.bufferBlock.buffer.elementsEqual(other.store.bufferBlock.buffer)
        #expect(isSame)
        if let a = own.target, let b = other.target {
            let isSame = a.bufferBlock.buffer.elementsEqual(b.bufferBlock.buffer)
            #expect(isSame)
        }
    }

    /// A loss of the caller goes back through the network as one in the graph does.
    @Test func seededGradientsAreThoseOfTheGraph() throws {
        let network = tinyNetwork()
        let shape = Shape([6] + network.input.dimensions)
        let images = (0..<shape.count).map { RandomKey(seed: 3).uniform(at: $0) - 0.5 }
        let labels: [Float] = [0, 1, 2, 2, 1, 0]
        let key = RandomKey(seed: 8)

        let graph = try network.lossGraph(batch: 6)
        let expected = ParameterStore(graph, seed: 1)
        let whole = try Session(
            graph, parameters: expected, differentiate: true, configuration: .direct)
        whole.setInput("images", images)
        whole.setInput("labels", labels)
        whole.run(randomKey: key)

        var builder = GraphBuilder(mode: .training)
        let x = builder.input("images", shape)
        builder.seededOutput("logits", try builder.append(network.layers, to: x))
        let store = ParameterStore(builder.graph, seed: 1)
        let session = try Session(
            builder.graph, parameters: store, differentiate: true, configuration: .direct)
        session.setInput("images", images)
        session.runForward(randomKey: key)
        var slope = session.output("logits")
        for row in 0..<6 {
            let range = row * 3..<(row + 1) * 3
            let powers = slope.elements[range].map { exp(Double($0)) }
            for k in 0..<3 {
                let p = powers[k] / powers.reduce(0, +)
                slope.elements[range.lowerBound + k] = Float(
                    (p - (Int(labels[row]) == k ? 1 : 0)) / 6)
            }
        }
        session.setInput("logitsGradient", slope.elements)
        session.runBackward(randomKey: key)
        for slot in expected.parameters {
            let a = try #require(store.gradient(slot.name)).elements
            let b = try #require(expected.gradient(slot.name)).elements
            let size = max(b.map(abs).max() ?? 0, 1e-3)
            let error = zip(a, b).map { abs($0 - $1) }.max() ?? 1
            #expect(error < 1e-5 * size, "\(slot.name)")
        }
    }

    /// A batch far larger than its chunk needs memory for a chunk's activations.
    @Test func memoryIsThatOfAChunk() throws {
        var recipe = try pretrainingRecipe()
        recipe.batch = 1024
        let chunked = try step(recipe).step.bytes
        recipe.chunk = 1024
        let whole = try step(recipe).step.bytes
        #expect(chunked * 2 < whole)
    }
}
