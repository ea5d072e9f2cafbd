import ApusCompiler
import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation

/// What a network can cost, from counting to measuring.
public enum NetworkCost: String, Hashable, Codable, Sendable, CaseIterable {
    /// Multiply-adds of one image's forward pass, in convolutions and matrix products.
    case multiplyAdds = "multiply-adds"
    /// Trainable numbers.
    case parameters
    /// Bytes of a training step without the optimizer's state, from the plan: nothing is allocated.
    case stepBytes = "step-bytes"
    /// Milliseconds of a training step of a batch on this machine.
    case stepTime = "step-time"
    /// Milliseconds of the forward pass of a batch in use on this machine.
    case inferenceTime = "inference-time"

    public var isMeasured: Bool { self == .stepTime || self == .inferenceTime }

    /// The cost of `network`.
    ///
    /// - Parameters:
    ///   - batch: images in a step or in a forward pass; counts are of one image
    ///   - configuration: of the engine, for what is measured and for the plan
    public func of(
        _ network: Network, batch: Int, configuration: Session.Configuration = .init()
    ) throws -> Double {
        switch self {
        case .multiplyAdds:
            let graph = try network.graph(batch: 1, mode: .inference)
            return Double(Statistics(graph).multiplyAdds)
        case .parameters:
            let graph = try network.graph(batch: 1, mode: .inference)
            return Double(graph.parameters.map(\.shape.count).reduce(0, +))
        case .stepBytes:
            var options = Program.Options(block: Machine.block)
            options.precision = configuration.precision
            options.recomputes = configuration.recomputes
            let program = try Program(
                network.lossGraph(batch: batch), differentiate: true, options: options)
            return Double(program.peakBytes)
        case .stepTime:
            return try NetworkCost.step(network, batch, configuration)
        case .inferenceTime:
            return try NetworkCost.inference(network, batch, configuration)
        }
    }

    private static func step(
        _ network: Network, _ batch: Int, _ configuration: Session.Configuration
    ) throws -> Double {
        let store = ParameterStore(try network.lossGraph(batch: batch), seed: 0)
        let session = try Session.training(
            network, batch: batch, parameters: store, configuration: configuration)
        let optimizer = Optimizer(.defaultSGD, for: store)
        let images = randomImages(session)
        let labels = [Int32](repeating: 0, count: batch)
        return try milliseconds {
            try session.step(images: images, labels: labels, optimizer: optimizer, rate: 1e-4)
        }
    }

    private static func inference(
        _ network: Network, _ batch: Int, _ configuration: Session.Configuration
    ) throws -> Double {
        let graph = try network.graph(batch: batch, mode: .inference)
        let session = try Session(
            graph, parameters: ParameterStore(graph, seed: 0), configuration: configuration)
        let images = randomImages(session).elements
        return milliseconds {
            session.setInput("images", images)
            session.run()
        }
    }

    /// Timings on zeros mean nothing.
    private static func randomImages(_ session: Session) -> Tensor {
        let shape = session.inputShape("images")
        let key = RandomKey(seed: 0).child("cost")
        return Tensor(shape, (0..<shape.count).map { 4 * key.uniform(at: $0) - 2 })
    }

    /// The median of at least three runs, after one that is not counted, of more while they take less
    /// than half a second together.
    private static func milliseconds(_ run: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        try run()
        var times: [Double] = []
        while times.count < 3 || times.reduce(0, +) < 500 && times.count < 50 {
            times.append(try clock.measure(run) / .milliseconds(1))
        }
        return times.sorted()[times.count / 2]
    }
}
