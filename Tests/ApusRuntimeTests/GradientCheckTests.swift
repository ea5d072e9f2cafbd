import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// Gradients of every operation against central differences.
@Suite struct GradientCheckTests {
    @Test(arguments: GradientCase.convolutions) func convolution(_ example: GradientCase) throws {
        try check(example)
    }

    @Test(arguments: GradientCase.normalizations) func normalization(
        _ example: GradientCase
    ) throws {
        try check(example)
    }

    @Test(arguments: GradientCase.pointwise) func pointwise(_ example: GradientCase) throws {
        try check(example)
    }

    @Test(arguments: GradientCase.poolings) func pooling(_ example: GradientCase) throws {
        try check(example)
    }

    @Test(arguments: GradientCase.matrices) func matricesAndLosses(
        _ example: GradientCase
    ) throws {
        try check(example)
    }

    @Test(arguments: GradientCase.channels) func channels(_ example: GradientCase) throws {
        try check(example)
    }

    /// Compares every element of every parameter's gradient with
    /// (loss(p + h) - loss(p - h)) / 2h, whose error is of the order of h^2.
    private func check(_ example: GradientCase) throws {
        var network = TestNetwork()
        let result = try example.build(&network)
        if example.isLoss {
            network.builder.output("loss", result)
        } else {
            try network.reduceToLoss(result)
        }
        let graph = network.builder.graph
        let differentiated = try graph.differentiated()
        try differentiated.verify()

        let key = RandomKey(seed: 11)
        let loss = try #require(graph.outputs["loss"])
        let executor = ReferenceExecutor(graph)
        let values = ReferenceExecutor(differentiated).run(network.sources, randomKey: key)
        func lossValue(_ sources: [ValueID: [Double]]) throws -> Double {
            try #require(executor.run(sources, randomKey: key)[loss]?.first)
        }

        let step = 1e-5
        for parameter in graph.parameters {
            let gradient = try #require(
                differentiated.gradients[parameter.name].flatMap { values[$0] })
            #expect(gradient.count == parameter.shape.count)
            var differences: [Double] = []
            for i in gradient.indices {
                var sources = network.sources
                sources[parameter.value]?[i] += step
                let above = try lossValue(sources)
                sources[parameter.value]?[i] -= 2 * step
                let below = try lossValue(sources)
                differences.append((above - below) / (2 * step))
            }
            let scale = differences.map(abs).max() ?? 0
            let error = zip(gradient, differences).map { abs($0 - $1) }.max() ?? 0
            #expect(scale > 1e-3, "\(parameter.name): too flat to tell anything")
            #expect(error < 1e-6 * scale, "\(parameter.name)")
        }
    }
}
