import Apus
import ArgumentParser

/// What images a command accepts. A small file can claim to be a large image.
struct DecodeOptions: ParsableArguments {
    @Option(help: "Refuse images of more pixels. (default: 100000000)")
    var maxPixels: Int?

    @Option(help: "Refuse image files of more bytes. (default: 268435456)")
    var maxBytes: Int?

    @Option(help: "Refuse JPEG images of more scans. (default: 100)")
    var maxScans: Int?

    @Option(
        help: "Refuse images that take more seconds of processor time to decode. (default: 20)")
    var maxSeconds: Double?

    func validate() throws {
        try require(maxPixels, in: 1...Int(Int32.max), "--max-pixels")
        try require(maxBytes, in: 1...(1 << 40), "--max-bytes")
        try require(maxScans, in: 1...1_000_000, "--max-scans")
        try require(maxSeconds, in: 0...1_000_000, "--max-seconds")
    }

    /// Makes the limits those of every image the command opens from now on.
    func apply() {
        var limits = ImageDecoder.standard
        if let maxPixels { limits.maximumPixels = maxPixels }
        if let maxBytes { limits.maximumBytes = maxBytes }
        if let maxScans { limits.maximumScans = maxScans }
        if let maxSeconds { limits.maximumSeconds = maxSeconds }
        ImageDecoder.standard = limits
    }
}
