import Apus
import Foundation

/// Where a program's time goes, beside what the machine could do: operations over its measured peak,
/// bytes over its measured bandwidth.
///
/// Operations are those of direct sums: Winograd's algorithm needs fewer and can exceed the peak.
/// Bytes count every operand once.
struct Explanation {
    private struct Cost {
        var seconds = 0.0
        var operations = 0.0
        var bytes = 0.0
        var steps = 0
        /// The least seconds the machine could take.
        var limit = 0.0
    }

    private let steps: [(step: SessionProfile.Step, cost: Cost)]
    private let speed: MachineSpeed
    private let total: Double

    init(_ session: Session) {
        let graph = session.program.graph
        let profile = SessionProfile(session, rounds: 3)
        let speed = MachineSpeed(threads: session.threads)
        steps = profile.steps.map { step in
            let operations = 2 * Double(graph.multiplyAdds(step.node))
            let bytes = Double(graph.bytes(step.node))
            let isBrainFloat = step.node.inputs.contains { graph.type($0) == .bfloat16 }
            let peak = isBrainFloat ? speed.bfloat16GFLOPS : nil
            let limit = max(
                operations / (peak ?? speed.float32GFLOPS), bytes / speed.bandwidthGBs)
            return (
                step,
                Cost(
                    seconds: step.seconds, operations: operations, bytes: bytes, steps: 1,
                    limit: limit / 1e9)
            )
        }
        self.speed = speed
        total = steps.map(\.cost.seconds).reduce(0, +)
    }

    func print() {
        var table = table("layer", "kernel")
        for (step, cost) in steps {
            table.add(row: row(cost) + ["\(step.node.op)", step.node.path, step.kernel ?? ""])
        }
        table.print()

        var kinds: [String: Cost] = [:]
        for (step, cost) in steps {
            var kind = kinds["\(step.node.op)"] ?? Cost()
            kind.seconds += cost.seconds
            kind.operations += cost.operations
            kind.bytes += cost.bytes
            kind.limit += cost.limit
            kind.steps += 1
            kinds["\(step.node.op)"] = kind
        }
        var summary = self.table("steps")
        for (name, cost) in kinds.sorted(by: { $0.value.seconds > $1.value.seconds }) {
            summary.add(row: row(cost) + [name, String(cost.steps)])
        }
        Swift.print()
        summary.print()
        let convolutions = steps.filter { $0.step.node.op.isConvolution }.map(\.cost.seconds)
        Swift.print(
            String(
                format:
                    "%.1f ms, %.0f %% of it in convolutions; the machine: %.0f GFLOP/s%@, %.1f GB/s",
                total * 1000, 100 * convolutions.reduce(0, +) / total, speed.float32GFLOPS,
                speed.bfloat16GFLOPS.map { String(format: " (bf16 %.0f)", $0) } ?? "",
                speed.bandwidthGBs))
    }

    private func table(_ columns: String...) -> Table {
        Table(
            columns: [
                ("ms", .right), ("share", .right), ("GFLOP/s", .right), ("GB/s", .right),
                ("of the limit", .right), ("operation", .left),
            ] + columns.map { ($0, .left) })
    }

    private func row(_ cost: Cost) -> [String] {
        [
            String(format: "%.2f", cost.seconds * 1000),
            String(format: "%.1f %%", 100 * cost.seconds / total),
            cost.operations == 0
                ? "" : String(format: "%.0f", cost.operations / cost.seconds / 1e9),
            String(format: "%.1f", cost.bytes / cost.seconds / 1e9),
            String(format: "%.0f %%", 100 * cost.limit / cost.seconds),
        ]
    }
}

extension Op {
    fileprivate var isConvolution: Bool {
        switch self {
        case .convolution, .convolutionInputGradient, .convolutionWeightGradient,
            .normalizedConvolution, .convolutionOfNormalized, .weightGradientOfNormalized:
            true
        default: false
        }
    }
}
