import Apus
import ArgumentParser

/// What commands that train into a run folder have in common.
struct RunOptions: ParsableArguments {
    @Option(help: "The run folder.")
    var out: String

    @Option(
        help: """
            Height and width of what the network sees: the short side of images is resized to this, \
            and the square in the center taken.
            """)
    var side: Int?

    @Option(help: "1 for gray, 3 for color. (default: what the images have)")
    var channels: Int?

    @Flag(help: "Print only errors.")
    var quiet = false

    @Flag(help: "Print events on standard output, one JSON object a line.")
    var json = false

    func validate() throws {
        try require(side, in: 1...4096, "--side")
        if let channels, channels != 1, channels != 3 {
            throw ValidationError("--channels must be 1 or 3, not \(channels)")
        }
        if out.isEmpty { throw ValidationError("--out needs the name of a folder") }
    }
}
