import ApusTensor
import CKernels
import Foundation

/// What the machine can do at most, measured: the ceiling for every kernel.
public struct MachineSpeed: Hashable, Codable, Sendable {
    public let threads: Int
    /// Billions of multiplies and adds a second in 32-bit floats, all threads together.
    public let float32GFLOPS: Double
    /// Likewise for products of 16-bit brain floats; nil where the CPU has no instruction for them.
    public let bfloat16GFLOPS: Double?
    /// Billions of bytes a second read and written by a[i] = b[i] + s * c[i] on arrays that no
    /// cache holds; the third array's reads before its writes are not counted.
    public let bandwidthGBs: Double

    /// Takes about a second.
    public init(threads: Int = Machine.cores) {
        let team = Team(threads: max(1, threads))
        self.threads = team.threads
        (float32GFLOPS, bfloat16GFLOPS, bandwidthGBs) = EngineThread.shared.perform {
            team.configure()
            return (
                Self.peak(.float32, team),
                Machine.hasBFloat16 ? Self.peak(.bfloat16, team) : nil,
                Self.bandwidth(team)
            )
        }
    }

    /// The fastest loop for the type that the CPU has.
    private static func loop(_ type: DataType) -> apus_peak_kind {
        let features = Machine.features
        if type == .bfloat16 { return Machine.hasAMX ? apus_peak_tiles : apus_peak_bf16 }
        if features.contains("avx512f") { return apus_peak_avx512 }
        return features.isSuperset(of: ["avx2", "fma"]) ? apus_peak_avx2 : apus_peak_portable
    }

    /// Billions of multiplies and adds a second, the best of a few tries: other work on the machine only ever slows one
    /// down. A try takes up to four times `longest`, in seconds.
    static func peak(
        _ type: DataType, _ team: Team, tries: Int = 7, longest: Double = 0.05
    ) -> Double {
        let kind = loop(type)
        let clock = ContinuousClock()
        let results = Arena(count: 16 * team.threads)
        var rounds = 1 << 16
        var best = 0.0
        for _ in 0..<tries {
            let work = Arena(count: 1)
            let seconds =
                clock.measure {
                    team.run { member in
                        // A cache line apart, so that the threads do not share one.
                        let operations = apus_peak(
                            kind, rounds, results.base + 16 * member)
                        if member == 0 { work.base[0] = Float(operations) }
                    }
                } / .seconds(1)
            best = max(best, Double(work.base[0]) * Double(team.threads) / seconds / 1e9)
            if seconds < longest { rounds *= 4 }
        }
        return best
    }

    private static func bandwidth(_ team: Team) -> Double {
        let count = arrayBytes / MemoryLayout<Float>.stride
        let arrays = (0..<3).map { _ in Arena(count: count) }
        // What was never written is a page of zeros that all of it shares, and that the caches hold.
        team.splitArray(count) { begin, end in
            for array in arrays { (array.base + begin).update(repeating: 1, count: end - begin) }
        }
        let clock = ContinuousClock()
        var best = 0.0
        for _ in 0..<4 {
            let seconds =
                clock.measure {
                    team.splitArray(count) { begin, end in
                        apus_triad(
                            arrays[0].base, arrays[1].base, arrays[2].base, 0.5, begin, end)
                    }
                } / .seconds(1)
            best = max(best, 3 * Double(arrayBytes) / seconds / 1e9)
        }
        return best
    }

    /// Four times the last cache, from 64 MiB up to 512 MiB and a sixteenth of the memory.
    private static var arrayBytes: Int {
        let text = try? String(
            contentsOfFile: "/sys/devices/system/cpu/cpu0/cache/index3/size", encoding: .utf8)
        let kibibytes = text.flatMap { Int($0.prefix(while: \.isNumber)) } ?? 32_768
        let wanted = min(max(4 * kibibytes * 1024, 64 << 20), 512 << 20)
        return min(wanted, max(1 << 20, Machine.memoryBytes / 16)) / 4096 * 4096
    }
}

extension Machine {
    /// Whether brain floats are multiplied faster than 32-bit floats: by tiles, or by AVX512-BF16, which is timed
    /// once, for some milliseconds.
    public static let prefersBFloat16: Bool = {
        guard hasBFloat16 else { return false }
        if hasAMX { return true }
        let clock = ContinuousClock()
        var result: Float = 0
        func rate(_ kind: apus_peak_kind) -> Double {
            (0..<5).map { _ in
                var operations = 0.0
                let time = clock.measure { operations = apus_peak(kind, 1 << 14, &result) }
                return operations / (time / .seconds(1))
            }.max() ?? 0
        }
        return rate(apus_peak_bf16) > 1.2 * rate(apus_peak_avx512)
    }()
}
