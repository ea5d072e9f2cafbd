import Apus
import ArgumentParser
import Foundation

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks this machine: CPU, libraries, data, and how fast it can be.",
        discussion: """
            Measures for about a second; other programs that run meanwhile lower the numbers.

            Example: apus doctor
            """)

    @Option(help: "Threads to measure with. (default: all cores)")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws { try require(threads, in: 1...1024, "--threads") }

    func run() throws {
        let report = DoctorReport(threads: threads ?? Machine.cores)
        if json {
            try printJSON(report)
        } else {
            var table = Table(("", .left), ("", .left), ("", .left))
            for check in report.checks {
                table.add(
                    check.ok ? "OK" : check.needed ? "MISSING" : "missing", check.name,
                    check.finding + (check.remedy.map { "; \($0)" } ?? ""))
            }
            for line in table.lines.dropFirst() { print(line) }
        }
        let missing = report.checks.filter { $0.needed && !$0.ok }.map(\.name)
        if !missing.isEmpty {
            throw CommandError(
                "\(missing.joined(separator: ", ")) missing; do what the lines above say")
        }
    }
}

/// What was found; the names are those other tools read.
private struct DoctorReport: Encodable {
    struct Check: Encodable {
        var name: String
        var ok: Bool
        /// Whether Apus cannot work without it.
        var needed: Bool
        var finding: String
        var remedy: String?
    }

    var cpu: String
    var instruction_sets: [String]
    var onednn: String
    var threads: Int
    var memory_bytes: Int
    var float32_gflops: Double
    var bfloat16_gflops: Double?
    var bandwidth_gb_per_s: Double
    var tuner_cache: String?
    var tuner_entries: Int
    var checks: [Check]

    init(threads: Int) {
        // What the CPU has and the system lets this process use.
        var features = Machine.features
        if !Machine.hasAMX { features.remove("amx_bf16") }
        let sets = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
        cpu = Machine.processor
        instruction_sets = sets.filter(features.contains)
        onednn = Machine.libraryVersion
        memory_bytes = Machine.memoryBytes
        tuner_cache = TunerCache.path
        tuner_entries = TunerCache.entries ?? 0
        let speed = MachineSpeed(threads: threads)
        self.threads = speed.threads
        float32_gflops = speed.float32GFLOPS
        bfloat16_gflops = speed.bfloat16GFLOPS
        bandwidth_gb_per_s = speed.bandwidthGBs
        checks = []

        note("CPU", "\(cpu), \(Machine.cores) threads, \(Readable.bytes(memory_bytes))")
        for name in sets {
            let ok = features.contains(name)
            note(
                name, ok ? "yes" : "no", ok: ok,
                remedy: ok ? nil : "slower without it, nothing to do")
        }
        note("oneDNN", onednn)
        note(
            "fp32 peak",
            String(format: "%.0f GFLOP/s on %d threads", float32_gflops, speed.threads))
        note(
            "bf16 peak",
            bfloat16_gflops.map { String(format: "%.0f GFLOP/s", $0) } ?? "not measured",
            ok: bfloat16_gflops != nil,
            remedy: bfloat16_gflops == nil ? "the CPU has no avx512_bf16" : nil)
        note("auto precision", Machine.prefersBFloat16 ? "bf16" : "fp32")
        note("memory", String(format: "%.1f GB/s read and written", bandwidth_gb_per_s))
        let image = Image(
            width: 16, height: 16, channels: 3, pixels: .init(repeating: 90, count: 768))
        attempt("libturbojpeg", needed: true, "reads and writes JPEG") {
            _ = try ImageDecoder().decode(ImageEncoder.encodeJPEG(image), name: "JPEG")
        }
        attempt("libpng", needed: true, "reads and writes PNG") {
            _ = try ImageDecoder().decode(ImageEncoder.encodePNG(image), name: "PNG")
        }
        attempt("Fashion-MNIST", needed: false, "found") {
            _ = try DataSets.open("fashion-mnist", split: .test)
        }
        note(
            "tuner cache",
            "\(tuner_cache ?? "nowhere: HOME is not set"), \(tuner_entries) choices",
            ok: tuner_cache != nil,
            remedy: tuner_cache == nil ? "set HOME or XDG_CACHE_HOME to keep timings" : nil)
    }

    private mutating func note(
        _ name: String, _ finding: String, ok: Bool = true, remedy: String? = nil
    ) {
        checks.append(
            Check(name: name, ok: ok, needed: false, finding: finding, remedy: remedy))
    }

    private mutating func attempt(
        _ name: String, needed: Bool, _ finding: String, _ body: () throws -> Void
    ) {
        do {
            try body()
            checks.append(Check(name: name, ok: true, needed: needed, finding: finding))
        } catch {
            checks.append(Check(name: name, ok: false, needed: needed, finding: error.brief))
        }
    }
}
