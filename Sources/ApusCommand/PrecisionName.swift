import Apus
import ArgumentParser

/// The option `--precision`: a number format, or what this CPU is fastest in.
enum PrecisionName: String, ExpressibleByArgument, CaseIterable {
    case fp32, bf16, auto

    var precision: Precision {
        switch self {
        case .fp32: .fp32
        case .bf16: .bf16
        case .auto: Machine.prefersBFloat16 ? .bf16 : .fp32
        }
    }
}

/// The option `--recompute`.
extension Recomputation.Policy: ExpressibleByArgument {}
