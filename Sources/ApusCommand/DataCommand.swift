import Apus
import ApusReport
import ArgumentParser
import Foundation

struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "Looks at data sets.",
        discussion: "Example: apus data check photos --page report.html",
        subcommands: [DataCheckCommand.self])
}

struct DataCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Reads every image once and tells what is wrong with it.",
        discussion: """
            Lists images that cannot be read, are cut short, are of another kind than their name \
            says, are far from the usual size, or are the same as others, and counts the classes.

            Example: apus data check photos --page report.html
            Example: apus data check photos.apack --json
            """)

    @Argument(help: "The data set, as --data of apus train takes it.")
    var data: String

    @OptionGroup(title: "Limits") var decoding: DecodeOptions

    @Option(help: "Write a page with pictures of what was found to this HTML file.")
    var page: String?

    @Option(help: "Lines to print about one problem; 0 for all.")
    var lines = 10

    @Option(help: "Threads that read images. (default: all cores)")
    var threads: Int?

    @Flag(help: "Fail if an image cannot be read, or is learned from and measured on.")
    var strict = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        try require(threads, in: 1...1024, "--threads")
        try require(lines, in: 0...1_000_000_000, "--lines")
    }

    func run() throws {
        decoding.apply()
        let splits = try DataSets.openSplits(data)
        let status = StatusLine()
        Interrupt.install()
        let progress = ImageProgress(status, isQuiet: json)
        defer { status.clear() }
        let findings = try DataCheck.run(splits, threads: threads ?? Machine.cores) {
            try progress.report($0, $1, instead: "run again to see all")
        }
        status.clear()
        if let page {
            let html = DataPage(findings, of: splits, name: data).html()
            try AtomicFile.write(to: page) { try $0.write(html) }
        }
        if json {
            try printJSON(findings)
        } else {
            DataTables(findings, most: lines == 0 ? .max : lines).print()
            if let page { print("the page with pictures is \(page)") }
        }
        let leaks = findings.duplicates.filter(\.isAcrossSplits)
        if strict, !(findings.broken.isEmpty && leaks.isEmpty) {
            throw CommandError(
                "\(data) has \(findings.broken.count) images that cannot be read and "
                    + "\(leaks.count) groups of the same images in train and test; remove them")
        }
    }
}
