import ApusCompiler
import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

/// One way to run a graph on the engine.
struct EngineSetting: Sendable, CustomTestStringConvertible {
    var block = Machine.block
    var fusesNormalization = true
    var worksInPlace = true
    var normalizesInputs = true
    var threads = 2
    /// The algorithm of every convolution that can run on it.
    var algorithm = "direct"
    var precision = Precision.fp32

    var testDescription: String {
        "block \(block), \(threads) threads, \(algorithm), \(precision)"
            + (fusesNormalization ? "" : ", unfused") + (worksInPlace ? "" : ", in other places")
    }

    /// Both widths of the layout, with and without fusion. Threads that wait for each other are
    /// slow on a busy machine: one setting has to do.
    static let all: [EngineSetting] = [
        EngineSetting(),
        EngineSetting(fusesNormalization: false, threads: 1),
        EngineSetting(block: 8, threads: 1),
        EngineSetting(block: 8, fusesNormalization: false, threads: 1),
    ]
}

/// What a pass produced: the gradient of every parameter, outputs and updated buffers.
typealias Results = [String: [Double]]

/// A small graph with its numbers, run by the engine and by the reference.
struct Conformance {
    let graph: Graph
    /// Numbers that 32 bits hold exactly: both executors start from the same.
    let sources: [ValueID: [Double]]
    let key = RandomKey(seed: 11)

    init(_ example: GradientCase) throws {
        var network = TestNetwork()
        var result = try example.build(&network)
        if example.isLoss {
            network.builder.output("loss", result)
        } else {
            if network.builder.shape(result).rank == 4 {
                result = try network.append(.flatten, result)
            }
            network.builder.output("result", result)
            try network.reduceToLoss(result)
        }
        self.init(network)
    }

    init(_ network: TestNetwork) {
        graph = network.builder.graph
        sources = network.sources.mapValues { $0.map { Double(Float($0)) } }
    }

    /// In 64 bits; for a precision other than `fp32` with every image rounded to it.
    func reference(_ precision: Precision = .fp32) throws -> Results {
        var options = Program.Options(block: 16)
        options.precision = precision
        let graph =
            precision == .fp32
            ? try graph.differentiated()
            : try Program(graph, differentiate: true, options: options).graph
        let values = ReferenceExecutor(graph).run(sources, randomKey: key)
        var results: Results = [:]
        for (kind, named) in [
            ("output", graph.outputs), ("gradient", graph.gradients), ("buffer", graph.updates),
        ] {
            for (name, value) in named { results["\(kind) \(name)"] = values[value] }
        }
        return results
    }

    /// A session with the graph's numbers in place.
    func session(_ setting: EngineSetting) throws -> Session {
        let store = ParameterStore(graph, seed: 0)
        var options = Program.Options(block: setting.block)
        options.fusesNormalization = setting.fusesNormalization
        options.worksInPlace = setting.worksInPlace
        options.normalizesInputs = setting.normalizesInputs
        options.precision = setting.precision
        let program = try Program(graph, differentiate: true, options: options)
        var configuration = Session.Configuration()
        configuration.threads = setting.threads
        configuration.usesTunerCache = false
        let tuned = try Session(program, parameters: store, configuration: configuration)
        configuration.choices = tuned.choices.mapValues { _ in setting.algorithm }
        configuration.precision = setting.precision
        let session = try Session(program, parameters: store, configuration: configuration)
        for parameter in graph.parameters {
            let elements = try #require(sources[parameter.value]).map(Float.init)
            try store.set(parameter.name, Tensor(parameter.shape, elements))
        }
        for buffer in graph.buffers {
            let elements = try #require(sources[buffer.value]).map(Float.init)
            try store.set(buffer.name, Tensor(buffer.shape, elements))
        }
        return session
    }

    /// Fills the inputs, whose memory a run may use for other values, and runs.
    func run(_ session: Session, key: RandomKey? = nil) throws -> Results {
        for (name, value) in graph.inputs {
            session.setInput(name, try #require(sources[value]).map(Float.init))
        }
        session.run(randomKey: key ?? self.key)
        let store = session.parameters
        var results: Results = [:]
        for name in graph.outputs.keys { results["output \(name)"] = session.output(name).doubles }
        for parameter in graph.parameters {
            results["gradient \(parameter.name)"] = store.gradient(parameter.name)?.doubles
        }
        for name in graph.updates.keys { results["buffer \(name)"] = store.tensor(name)?.doubles }
        return results
    }

    func engine(_ setting: EngineSetting = EngineSetting()) throws -> Results {
        try run(try session(setting))
    }
}

extension Tensor {
    var doubles: [Double] { elements.map(Double.init) }
}

/// The largest difference relative to the largest magnitude of its tensor, and whose it is.
func worstDifference(_ results: Results, _ expected: Results) -> (error: Double, name: String) {
    guard Set(results.keys) == Set(expected.keys) else {
        return (.infinity, "\(results.keys.sorted()) for \(expected.keys.sorted())")
    }
    var worst = (error: 0.0, name: "")
    for (name, values) in expected {
        guard let own = results[name], own.count == values.count else { return (.infinity, name) }
        let scale = max(values.map(abs).max() ?? 0, 1e-30)
        for (a, b) in zip(own, values) {
            let error = abs(a - b) / scale
            // Not a number is as far away as can be.
            if !(error <= worst.error) { worst = (error.isNaN ? .infinity : error, name) }
        }
    }
    return worst
}
