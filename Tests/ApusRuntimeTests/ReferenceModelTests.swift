import ApusCompiler
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import Foundation
import Testing

/// Whole networks against results that PyTorch computed in 64-bit floats.
@Suite struct ReferenceModelTests {
    static let models = ["resnet20-cifar", "plain20-cifar"]

    @Test(arguments: models) func inferenceMatchesPyTorch(model: String) throws {
        let file = try load(model)
        let graph = try Models.named(model).graph(batch: file.labels.count, mode: .inference)
        let logits = try value("logits", of: graph, run(graph, file))
        expectClose(logits, file.evalLogits.flatMap { $0 }, "logits")
    }

    @Test(arguments: models) func aTrainingStepMatchesPyTorch(model: String) throws {
        let file = try load(model)
        let network = try Models.named(model)
        let graph = try network.lossGraph(batch: file.labels.count).differentiated()
        let values = run(graph, file)

        #expect(graph.parameters.map(\.shape.count).reduce(0, +) == file.parameters)
        expectClose(
            try value("logits", of: graph, values), file.trainLogits.flatMap { $0 }, "logits")
        expectClose(try value("loss", of: graph, values), [file.loss], "loss")

        #expect(Set(graph.gradients.keys) == Set(file.gradients.keys))
        for (name, gradient) in graph.gradients {
            expectClose(graph.shape(gradient), values[gradient], file.gradients[name], name)
        }
        var updated = graph.updates.mapValues { (graph.shape($0), values[$0]) }
        for parameter in graph.parameters {
            let gradient = try #require(graph.gradients[parameter.name].flatMap { values[$0] })
            let weights = try #require(values[parameter.value])
            // Momentum starts at zero, so that the first step is along the decayed gradient.
            let step = zip(weights, gradient).map { w, g in w - 0.1 * (g + 1e-4 * w) }
            updated[parameter.name] = (parameter.shape, step)
        }
        #expect(Set(updated.keys) == Set(file.afterOneSGDStep.keys))
        for (name, (shape, elements)) in updated {
            expectClose(shape, elements, file.afterOneSGDStep[name], name)
        }
    }

    @Test(arguments: models) func fusionAndLayoutChangeNothing(model: String) throws {
        let file = try load(model)
        let graph = try Models.named(model).lossGraph(batch: file.labels.count)
        let plain = try graph.differentiated()
        let fused = try NormalizationFusion()(graph).differentiated()
        let laidOut = try LayoutAssignment(block: 16)(fused)
        try laidOut.verify()
        #expect(fused.nodes.count < plain.nodes.count)

        let expected = run(plain, file)
        for other in [fused, laidOut] {
            let values = run(other, file)
            let pairs = [
                (plain.outputs, other.outputs), (plain.gradients, other.gradients),
                (plain.updates, other.updates),
            ]
            for (before, after) in pairs {
                #expect(Set(before.keys) == Set(after.keys))
                for (name, id) in before {
                    let actual = try #require(after[name].flatMap { values[$0] })
                    expectClose(actual, try #require(expected[id]), name, tolerance: 1e-10)
                }
            }
        }
    }

    // MARK: - Helpers

    private func load(_ model: String) throws -> ReferenceFile {
        let fixtures = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures")
        let data = try Data(contentsOf: fixtures.appendingPathComponent(model + ".json"))
        return try JSONDecoder().decode(ReferenceFile.self, from: data)
    }

    /// Runs a graph on the weights, images and labels of a reference file.
    private func run(_ graph: Graph, _ file: ReferenceFile) -> [ValueID: [Double]] {
        var sources: [ValueID: [Double]] = [:]
        for p in graph.parameters {
            sources[p.value] = ReferenceFormula.values(p.name, shape: p.shape)
        }
        for b in graph.buffers {
            sources[b.value] = ReferenceFormula.values(b.name, shape: b.shape)
        }
        if let images = graph.inputs["images"] {
            sources[images] = ReferenceFormula.input(file.input)
        }
        if let labels = graph.inputs["labels"] { sources[labels] = file.labels.map(Double.init) }
        return ReferenceExecutor(graph).run(sources)
    }

    private func value(
        _ name: String, of graph: Graph, _ values: [ValueID: [Double]]
    ) throws -> [Double] {
        try #require(graph.outputs[name].flatMap { values[$0] })
    }

    /// Compares element by element, relative to the root mean square of what is expected.
    private func expectClose(
        _ actual: [Double], _ expected: [Double], _ name: String, tolerance: Double = 1e-8
    ) {
        guard actual.count == expected.count else {
            Issue.record("\(name): \(actual.count) elements instead of \(expected.count)")
            return
        }
        let mean = expected.reduce(0) { $0 + $1 * $1 } / Double(expected.count)
        let error = zip(actual, expected).map { abs($0 - $1) }.max() ?? 0
        let relative = error / mean.squareRoot()
        #expect(relative < tolerance, "\(name)")
    }

    /// Compares briefs. Attributes such as epsilon and momentum are 32-bit floats in a graph, which
    /// puts a floor of about 1e-8 under the errors of running statistics.
    private func expectClose(
        _ shape: Shape, _ elements: [Double]?, _ expected: TensorBrief?, _ name: String
    ) {
        guard let elements, let expected else {
            Issue.record("\(name) is missing")
            return
        }
        let actual = TensorBrief(shape, elements)
        let running = name.contains("running_")
        let tolerance = running ? 1e-7 : 1e-8
        let rms = expected.l2 / Double(shape.count).squareRoot()
        #expect(actual.shape == expected.shape, "\(name)")
        #expect(abs(actual.l2 - expected.l2) < tolerance * expected.l2, "\(name)")
        // A sum may cancel; its natural scale is the number of elements times their size.
        #expect(
            abs(actual.sum - expected.sum) < tolerance * rms * Double(shape.count), "\(name)")
        #expect(actual.first.count == expected.first.count, "\(name)")
        for (a, b) in zip(actual.first, expected.first) {
            #expect(abs(a - b) < tolerance * max(rms, abs(b)), "\(name)")
        }
    }
}
