import Apus
import ArgumentParser
import Foundation

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Times training steps and inference on random data.",
        discussion: "Example: apus bench train --model resnet18-cifar --batch 128",
        subcommands: [BenchTrain.self, BenchInfer.self])
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

    @Flag(help: "Print the time of every kind of operation beside the machine's limits.")
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
        return configuration
    }

    /// Random images: timings on zeros mean nothing.
    func images(_ network: Network) -> Tensor {
        let shape = Shape([batch] + network.input.dimensions)
        let key = RandomKey(seed: 0).child("bench")
        return Tensor(shape, (0..<shape.count).map { 4 * key.uniform(at: $0) - 2 })
    }

    /// Runs twice for nothing, then `steps` times, and prints the times.
    func measure(_ session: Session, _ run: () throws -> Void) throws {
        let clock = ContinuousClock()
        for _ in 0..<2 { try run() }
        var times: [Double] = []
        for _ in 0..<steps { times.append(try clock.measure(run) / .milliseconds(1)) }
        times.sort()
        let median = times[times.count / 2]
        let result = BenchResult(
            model: model, batch: batch, precision: precision.precision.rawValue,
            threads: session.threads,
            median_ms: median, min_ms: times[0], max_ms: times[times.count - 1],
            images_per_second: Double(batch) / median * 1000,
            peak_memory_mib: Double(
                session.workspaceBytes + session.parameters.byteCount) / 1_048_576)
        if json {
            try printJSON(result)
        } else {
            print(
                String(
                    format:
                        "%@ batch %d %@, %d threads: median %.1f ms, min %.1f ms, %.0f images/s, %.0f MiB",
                    model, batch, result.precision, session.threads, median, times[0],
                    result.images_per_second, result.peak_memory_mib))
        }
        if explain { printShares(session) }
    }

    /// Where the time goes, beside what the machine could do: operations over the measured peak, bytes
    /// over the measured bandwidth. Winograd's convolutions can exceed the peak of a direct sum.
    private func printShares(_ session: Session) {
        struct Share {
            var seconds = 0.0
            var operations = 0.0
            var bytes = 0.0
            var count = 0
        }
        let graph = session.program.graph
        var shares: [String: Share] = [:]
        let rounds = 3
        for _ in 0..<rounds {
            for (node, seconds) in session.profile() {
                var share = shares["\(node.op)"] ?? Share()
                share.seconds += seconds / Double(rounds)
                share.operations += 2 * Double(graph.multiplyAdds(node)) / Double(rounds)
                share.bytes += Double(graph.bytes(node)) / Double(rounds)
                share.count += 1
                shares["\(node.op)"] = share
            }
        }
        let speed = MachineSpeed(threads: session.threads)
        let total = shares.values.map(\.seconds).reduce(0, +)
        var table = Table(
            ("ms", .right), ("share", .right), ("steps", .right), ("GFLOP/s", .right),
            ("GB/s", .right), ("of the limit", .right), ("operation", .left))
        for (name, share) in shares.sorted(by: { $0.value.seconds > $1.value.seconds }) {
            let flops = share.operations / share.seconds / 1e9
            let bandwidth = share.bytes / share.seconds / 1e9
            let ofLimit = max(flops / speed.float32GFLOPS, bandwidth / speed.bandwidthGBs)
            table.add(
                String(format: "%.2f", share.seconds * 1000),
                String(format: "%.1f %%", 100 * share.seconds / total),
                String(share.count / rounds),
                share.operations == 0 ? "" : String(format: "%.0f", flops),
                String(format: "%.1f", bandwidth), String(format: "%.0f %%", 100 * ofLimit), name)
        }
        table.print()
        print(
            String(
                format: "the machine: %.0f GFLOP/s and %.1f GB/s", speed.float32GFLOPS,
                speed.bandwidthGBs))
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
    var peak_memory_mib: Double
}

struct BenchTrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Times whole training steps: forward, backward, update.",
        discussion: "Example: apus bench train --model resnet18-cifar --batch 128 --steps 10")

    @OptionGroup var options: BenchOptions

    func run() throws {
        let network = try options.network()
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
        try options.measure(session) {
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
        let graph = try network.graph(batch: options.batch, mode: .inference)
        let store = ParameterStore(graph, seed: 0)
        let session = try Session(
            graph, parameters: store, configuration: options.configuration)
        let images = options.images(network)
        try options.measure(session) {
            session.setInput("images", images.elements)
            session.run()
        }
    }
}
