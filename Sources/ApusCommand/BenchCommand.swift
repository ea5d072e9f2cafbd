import Apus
import ArgumentParser
import Foundation

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Times training steps and inference on random data, and the loading of images.",
        discussion: "Example: apus bench train --model resnet18-cifar --batch 128",
        subcommands: [
            BenchTrain.self, BenchInfer.self, BenchPretrain.self, BenchData.self, BenchLoss.self,
        ])
}

/// What the engine does to be faster, each of which can be left out for comparison.
enum Optimization: String, ExpressibleByArgument, CaseIterable {
    /// Normalizations absorb the additions and activations behind them.
    case fusion
    /// Normalizations absorb max pooling behind them in training.
    case pooling
    /// Convolutions absorb normalizations in use after training.
    case folding
    /// Operations overwrite operands nobody reads afterwards.
    case overwriting
    /// The normalizations of projected shortcuts are merged into those of their blocks' ends.
    case shortcuts
    /// Gradients are added up in the passes that read or write them.
    case accumulation
    /// Squeeze-and-excitation is merged into the normalizations before it.
    case excitation
    /// Chains of concatenations share one image.
    case sharing
    /// 1x1 convolutions normalize the images they read in training.
    case inputs
    /// Algorithms of convolutions are timed against each other; else all are direct.
    case tuning
}

/// What both benchmarks take.
struct BenchOptions: ParsableArguments {
    @Option(help: "The network; `apus models` lists them.")
    var model = "resnet20-cifar"

    @Option(help: "Images in a batch.")
    var batch = 128

    @Option(help: "Height and width of the images; the model's own by default.")
    var side: Int?

    @Option(help: "Number format of images.")
    var precision = PrecisionName.fp32

    @Option(help: "Timed repetitions, after two that are not.")
    var steps = 10

    @Option(help: "Threads of the engine; all cores by default.")
    var threads: Int?

    @Option(help: "Leave this out, for comparison; repeatable.")
    var without: [Optimization] = []

    @Option(help: "What to compute again for the gradients: less memory, more time.")
    var recompute = Recomputation.Policy.auto

    @Flag(help: "Print the time of every step of the program beside the machine's limits.")
    var explain = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        try require(batch, in: 1...65_536, "--batch")
        try require(steps, in: 1...1_000_000, "--steps")
        try require(side, in: 1...4096, "--side")
        try require(threads, in: 1...1024, "--threads")
    }

    func network() throws -> Network {
        let network = try Models.named(model)
        return try Models.named(
            model, input: side.map { [network.input[0], $0, $0] } ?? network.input)
    }

    var configuration: Session.Configuration {
        var configuration = Session.Configuration()
        if let threads { configuration.threads = threads }
        configuration.precision = precision.precision
        configuration.recomputation = recompute
        configuration.fusesNormalization = !without.contains(.fusion)
        configuration.fusesPooling = !without.contains(.pooling)
        configuration.foldsNormalization = !without.contains(.folding)
        configuration.worksInPlace = !without.contains(.overwriting)
        configuration.fusesShortcuts = !without.contains(.shortcuts)
        configuration.accumulatesGradients = !without.contains(.accumulation)
        configuration.fusesExcitation = !without.contains(.excitation)
        configuration.sharesConcatenations = !without.contains(.sharing)
        configuration.normalizesInputs = !without.contains(.inputs)
        configuration.tunes = !without.contains(.tuning)
        return configuration
    }

    /// Random images: timings on zeros mean nothing.
    func images(_ network: Network) -> Tensor {
        let shape = Shape([batch] + network.input.dimensions)
        let key = RandomKey(seed: 0).child("bench")
        return Tensor(shape, (0..<shape.count).map { 4 * key.uniform(at: $0) - 2 })
    }

    /// The bytes this process holds before it makes the network. The library's code, threads and
    /// first primitives, which any network needs, are there already: a small one was trained and used.
    func residentBytesBefore() throws -> Int {
        let network = Network("small", input: [3, 8, 8]) {
            Convolution(16, kernel: 3)
            BatchNorm()
            Activation(.relu)
            Convolution(16, kernel: 1)
            GlobalAveragePool()
            Flatten()
            Dense(4)
        }
        let store = ParameterStore(try network.graph(batch: 2, mode: .training), seed: 0)
        let session = try Session.training(
            network, batch: 2, parameters: store, configuration: configuration)
        let optimizer = Optimizer(.defaultSGD, weightDecay: 0, for: store)
        let images = Tensor([2, 3, 8, 8], (0..<384).map { Float($0 % 7) })
        try session.step(images: images, labels: [0, 1], optimizer: optimizer, rate: 0)
        let user = try Session(
            network.graph(batch: 2, mode: .inference), parameters: store,
            configuration: configuration)
        user.setInput("images", images.elements)
        user.run()
        return Machine.residentBytes
    }

    /// Runs twice for nothing, then `steps` times, and prints the times.
    ///
    /// `baseline` is what the process held before the network was made, `planned` what the plan says
    /// that it needs from then on, and `otherBytes` what is moved outside the program.
    func measure(
        _ session: Session, baseline: Int, planned: Int, otherBytes: Int = 0,
        _ run: () throws -> Void
    ) throws {
        let clock = ContinuousClock()
        for _ in 0..<2 { try run() }
        var times: [Double] = []
        for _ in 0..<steps { times.append(try clock.measure(run) / .milliseconds(1)) }
        times.sort()
        let median = times[times.count / 2]
        let graph = session.program.graph
        let bytes = graph.nodes.map { graph.bytes($0) }.reduce(otherBytes, +)
        let result = BenchResult(
            model: model, batch: batch, precision: precision.precision.rawValue,
            threads: session.threads,
            median_ms: median, min_ms: times[0], max_ms: times[times.count - 1],
            images_per_second: Double(batch) / median * 1000,
            peak_memory_mib: Double(Machine.peakResidentBytes - baseline) / 1_048_576,
            planned_memory_mib: Double(planned) / 1_048_576,
            giga_operations: 2e-9 * Double(graph.nodes.map { graph.multiplyAdds($0) }.reduce(0, +)),
            gigabytes: 1e-9 * Double(bytes))
        if json {
            try printJSON(result)
        } else {
            print(
                String(
                    format:
                        "%@ batch %d %@, %d threads: median %.1f ms, min %.1f ms, %.0f images/s, %.0f MiB (planned %.0f), %.3g billion operations, %.3g GB moved",
                    model, batch, result.precision, session.threads, median, times[0],
                    result.images_per_second, result.peak_memory_mib, result.planned_memory_mib,
                    result.giga_operations, result.gigabytes))
        }
        if explain { Explanation(session).print() }
    }

}

/// The names are those other tools read.
private struct BenchResult: Encodable {
    var model: String
    var batch: Int
    var precision: String
    var threads: Int
    var median_ms: Double
    var min_ms: Double
    var max_ms: Double
    var images_per_second: Double
    /// Of the process, above what it held before the network was made.
    var peak_memory_mib: Double
    var planned_memory_mib: Double
    /// Multiplies and adds of direct sums: algorithms that need fewer can exceed the machine's peak.
    var giga_operations: Double
    /// What every operation reads and writes, each value once.
    var gigabytes: Double
}

struct BenchTrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Times whole training steps: forward, backward, update.",
        discussion: "Example: apus bench train --model resnet18-cifar --batch 128 --steps 10")

    @OptionGroup var options: BenchOptions

    func run() throws {
        let network = try options.network()
        let baseline = try options.residentBytesBefore()
        let store = ParameterStore(
            try network.graph(batch: options.batch, mode: .training), seed: 0)
        let session = try Session.training(
            network, batch: options.batch, parameters: store,
            configuration: options.configuration)
        let optimizer = Optimizer(.defaultSGD, weightDecay: 1e-4, for: store)
        let images = options.images(network)
        let classes = session.output("logits").shape[1]
        let key = RandomKey(seed: 1)
        let labels = (0..<options.batch).map { Int32(key.integer(below: classes, at: $0)) }
        let planned =
            session.workspaceBytes + store.byteCount + optimizer.byteCount + 4 * images.shape.count
        // The optimizer reads gradients, and reads and writes parameters and velocities.
        let updateBytes = 5 * store.parameterBlock.byteCount
        try options.measure(
            session, baseline: baseline, planned: planned, otherBytes: updateBytes
        ) {
            try session.step(images: images, labels: labels, optimizer: optimizer, rate: 0.01)
        }
    }
}

struct BenchInfer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "infer", abstract: "Times inference.",
        discussion: "Example: apus bench infer --model resnet50 --batch 1 --steps 20")

    @OptionGroup var options: BenchOptions

    func run() throws {
        let network = try options.network()
        let baseline = try options.residentBytesBefore()
        let graph = try network.graph(batch: options.batch, mode: .inference)
        let store = ParameterStore(graph, seed: 0)
        let session = try Session(
            graph, parameters: store, configuration: options.configuration)
        let images = options.images(network)
        let planned = session.workspaceBytes + store.byteCount + 4 * images.shape.count
        try options.measure(session, baseline: baseline, planned: planned) {
            session.setInput("images", images.elements)
            session.run()
        }
    }
}
