import Apus
import ArgumentParser
import Foundation

extension PackEncoding: ExpressibleByArgument {}

struct PackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pack",
        abstract: "Packs a data set into one file that is fast to read.",
        discussion: """
            The file holds all splits, labels, class names and a checksum of every image, and is \
            given to --data like a folder. Every image is decoded once on the way.

            Example: apus pack photos --out photos.apack --max-side 256
            Example: apus pack photos --out photos.apack --encoding keep
            """)

    @Argument(help: "The data set, as --data of apus train takes it.")
    var data: String

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(help: "The file to write.")
    var out: String

    @Option(
        help: """
            jpeg: as JPEG files (small JPEG files stay as they are); raw: as pixels, large but with \
            nothing to decode; keep: the files as they are.
            """)
    var encoding = PackEncoding.jpeg

    @Option(
        help: "Scale down images with a longer side than this. (default: 512; with keep none)")
    var maxSide: Int?

    @Option(help: "Quality of JPEG files, 1 to 100.")
    var quality = 90

    @Option(help: "Threads that read, scale and write images. (default: all cores)")
    var threads: Int?

    @Flag(help: "Leave out images that cannot be read, and list them; else the first one stops.")
    var skipBroken = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        try require(maxSide, in: 1...65_535, "--max-side")
        try require(quality, in: 1...100, "--quality")
        try require(threads, in: 1...1024, "--threads")
        if encoding == .keep, maxSide != nil {
            throw ValidationError("--max-side needs --encoding jpeg or raw: keep changes nothing")
        }
        if out.isEmpty { throw ValidationError("--out needs the name of a file") }
    }

    func run() throws {
        decoding.apply()
        let splits = try DataSets.openSplits(data)
        let options = PackOptions(
            encoding: encoding, maximumSide: encoding == .keep ? nil : maxSide ?? 512,
            quality: quality, threads: threads ?? Machine.cores, skipsBroken: skipBroken)
        let status = StatusLine()
        for line in DataNotes.hints(splits[0].source) where !json { status.note(line) }
        Interrupt.install()
        let progress = ImageProgress(status, isQuiet: json)
        defer { status.clear() }
        let report = try PackWriter.write(splits, to: out, options: options) { done, total in
            try progress.report(done, total, instead: "nothing was written")
        }
        status.clear()
        if json {
            return try printJSON(
                Output(
                    out: out, images: report.images, bytes: report.bytes, broken: report.broken))
        }
        for line in report.broken { status.note("left out: \(line)") }
        let rest =
            report.broken.isEmpty
            ? "" : "; \(report.broken.count) could not be read and were left out"
        print("packed \(report.images) images into \(out) (\(Readable.bytes(report.bytes)))\(rest)")
        print("next: apus train --data \(out) --model resnet18 --side 224 --out RUN")
    }

    private struct Output: Encodable {
        let out: String
        let images: Int
        let bytes: Int
        let broken: [String]
    }
}
