import Apus
import ArgumentParser
import Foundation

struct BenchLoss: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loss",
        abstract: "Times the contrastive loss and its gradient on random projections.",
        discussion: "Example: apus bench loss --pairs 8192 --dimension 128")

    @Option(help: "Images, each in two views.")
    var pairs = 8192

    @Option(help: "Length of the projections.")
    var dimension = 128

    @Option(help: "What similarities are divided by.")
    var temperature: Float = 0.5

    @Option(help: "Timed repetitions, after one that is not.")
    var steps = 3

    @Option(help: "Threads. (default: all cores)")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Result: Encodable {
        let pairs: Int
        let dimension: Int
        let threads: Int
        let loss: Double
        let median_ms: Double
        /// Of all threads together, for one repetition.
        let cpu_ms: Double
        let peak_memory_mib: Double
    }

    func validate() throws {
        try require(pairs, in: 2...1_000_000, "--pairs")
        try require(dimension, in: 1...65_536, "--dimension")
        try require(temperature, in: 1e-3...1e6, "--temperature")
        try require(steps, in: 1...1_000_000, "--steps")
        try require(threads, in: 1...1024, "--threads")
    }

    func run() throws {
        let baseline = Machine.residentBytes
        let shape = Shape([2 * pairs, dimension])
        let key = RandomKey(seed: 0).child("bench")
        let projections = Tensor(shape, (0..<shape.count).map { 2 * key.uniform(at: $0) - 1 })
        let threads = threads ?? Machine.cores
        let loss = ContrastiveLoss.ntXent(temperature: temperature)
        var value = loss(projections, threads: threads).loss
        let start = clock()
        var times: [Double] = []
        for _ in 0..<steps {
            times.append(
                ContinuousClock().measure { value = loss(projections, threads: threads).loss }
                    / .milliseconds(1))
        }
        times.sort()
        let cpu = Double(clock() - start) / Double(CLOCKS_PER_SEC) * 1000 / Double(steps)
        let result = Result(
            pairs: pairs, dimension: dimension, threads: threads, loss: value,
            median_ms: times[times.count / 2], cpu_ms: cpu,
            peak_memory_mib: Double(Machine.peakResidentBytes - baseline) / 1_048_576)
        if json { return try printJSON(result) }
        print(
            String(
                format: "%d pairs of %d: %.0f ms, %.0f ms of CPU, loss %.6f, at most %.0f MiB",
                pairs, dimension, result.median_ms, cpu, value, result.peak_memory_mib))
    }
}
