import CDNNL
import CKernels
import Foundation

/// What the engine runs on.
public enum Machine {
    /// oneDNN's version, such as "2.6.3".
    public static var libraryVersion: String {
        guard let v = dnnl_version()?.pointee else { return "unknown" }
        return "\(v.major).\(v.minor).\(v.patch)"
    }

    /// Bits of oneDNN's instruction sets that matter here; the same in versions 2 and 3.
    private static var instructionSets: UInt32 { dnnl_get_effective_cpu_isa().rawValue }

    public static var hasAVX2: Bool { instructionSets & 0x4 != 0 }
    public static var hasAVX512: Bool { instructionSets & 0x20 != 0 }

    /// Whether products of brain floats have an instruction.
    public static let hasBFloat16 = hasAVX512 && features.contains("avx512_bf16")

    /// Whether products of brain floats can use tile registers (Intel's AMX).
    public static var hasAMX: Bool { hasBFloat16 && apus_has_amx() }

    /// Channels in a block of the layout the CPU's kernels want.
    public static var block: Int { hasAVX512 ? 16 : 8 }

    /// The processor's name as Linux tells it.
    public static var processor: String {
        line(of: "model name") ?? "unknown processor"
    }

    /// The processor's features as Linux lists them, such as `avx512_bf16`.
    public static var features: Set<String> {
        Set((line(of: "flags") ?? "").split(separator: " ").map(String.init))
    }

    private static func line(of key: String) -> String? {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else {
            return nil
        }
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            return line.split(separator: ":", maxSplits: 1).last.map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
        return nil
    }

    /// Cores this process may use: those it may run on, or fewer where its container has less of their
    /// time. Threads that wait for others by spinning must not be more.
    public static let cores: Int = {
        let share = (ControlGroups.own.cores ?? .infinity).rounded(.up)
        return Int(min(Double(ProcessInfo.processInfo.activeProcessorCount), max(1, share)))
    }()

    /// Bytes of memory this process may use: the machine's, or less where its container or its limit of
    /// addresses (`ulimit -v`) leaves it less.
    public static var memoryBytes: Int {
        var bytes = Int(clamping: ProcessInfo.processInfo.physicalMemory)
        if let limit = ControlGroups.own.memoryBytes { bytes = min(bytes, limit) }
        var addresses = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &addresses) == 0,
            addresses.rlim_cur != rlim_t(bitPattern: -1)
        {
            bytes = min(bytes, max(0, Int(clamping: addresses.rlim_cur) - status("VmSize:")))
        }
        return bytes
    }

    /// The most bytes of memory this process has held at once, as Linux tells it.
    public static var peakResidentBytes: Int { status("VmHWM:") }

    /// The bytes of memory this process holds now.
    public static var residentBytes: Int { status("VmRSS:") }

    private static func status(_ key: String) -> Int {
        let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = text?.split(separator: "\n").first { $0.hasPrefix(key) }
        let kibibytes = line?.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.first
        return (kibibytes ?? 0) * 1024
    }
}
