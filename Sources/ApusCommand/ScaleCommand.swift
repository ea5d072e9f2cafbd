import Apus
import ArgumentParser
import Foundation

struct ScaleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale",
        abstract: "Makes a network deeper, wider and finer at once, and says what that costs.",
        discussion: """
            Depth grows by alpha^phi, width by beta^phi, resolution by gamma^phi (compound scaling). \
            --within finds the largest network of that kind that keeps a limit: 400M-macs, \
            5M-parameters, 500MiB (of a training step), 20ms (inference on this machine) or \
            900ms-step. --search looks for alpha, beta and gamma: with proxy every direction of a \
            grid is followed to twice the base's --budget and trained for a while on --data, the best \
            first (with --rounds the best of them for longer); with step-time or inference-time every \
            point is timed, and the ratio printed by which the time grows where multiply-adds double.

            Example: apus scale --base efficientnet-b0 --phi 0...3
            Example: apus scale --base resnet20-cifar --within 400M-macs --compare
            Example: apus scale --base resnet20-cifar --search proxy --data fashion-mnist \
            --budget step-time
            """)

    @Option(help: "The network that is scaled; `apus models` lists them.")
    var base: String

    @Option(
        help: "Which phi: 2, or 0,1,2.5, or 0...3. (default: 0...3)", transform: PhiList.init)
    var phi: PhiList?

    @Option(help: "Growth of depth with every phi.")
    var alpha = CompoundScaling.published.alpha

    @Option(help: "Growth of width.")
    var beta = CompoundScaling.published.beta

    @Option(help: "Growth of resolution.")
    var gamma = CompoundScaling.published.gamma

    @Option(help: "Scale all together, or one dimension that doubles multiply-adds with every phi.")
    var dimension = ScaleDimension.compound

    @Flag(help: "Print beside each network those scaled in one dimension to its multiply-adds.")
    var compare = false

    @Option(
        help: "Find the largest network within this limit, instead of given phi.",
        transform: ScaleLimit.init)
    var within: ScaleLimit?

    @Option(help: "Search for alpha, beta and gamma: proxy, step-time or inference-time.")
    var search: SearchName?

    @Option(
        help: """
            What --search proxy may double: multiply-adds, parameters, step-bytes, step-time or \
            inference-time. (default: multiply-adds)
            """)
    var budget: NetworkCost?

    @Option(help: "Distance of the search's grid points.")
    var gridStep = 0.1

    @Option(help: "The data set of --search proxy.")
    var data: String?

    @Option(help: "Training steps of --search proxy. (default: 200)")
    var proxySteps: Int?

    @Option(
        help: """
            Rounds of --search proxy: the best third of each is trained again, three times as long. \
            (default: 1)
            """)
    var rounds: Int?

    @Option(help: "Height and width of the base's images. (default: its own)")
    var side: Int?

    @Option(help: "Classes. (default: the base's own number)")
    var classes: Int?

    @Option(help: "What scaled widths are multiples of. (default: 8, for growth rates 4)")
    var divisor: Int?

    @Option(help: "Images in a training step.")
    var batch = 32

    @Option(help: "Images in a forward pass that is timed.")
    var inferenceBatch = 1

    @Flag(help: "Time training steps and inference on this machine.")
    var measure = false

    @Option(help: "Threads of the engine. (default: all cores)")
    var threads: Int?

    @Option(help: "Number format of images.")
    var precision = PrecisionName.fp32

    @Flag(help: "Print JSON, one object a network.")
    var json = false

    func validate() throws {
        for (value, option) in [(alpha, "--alpha"), (beta, "--beta"), (gamma, "--gamma")] {
            try require(value, in: 0.1...10, option)
        }
        try require(gridStep, in: 0.01...1, "--grid-step")
        try require(proxySteps, in: 1...1_000_000, "--proxy-steps")
        try require(rounds, in: 1...5, "--rounds")
        try require(side, in: 1...4096, "--side")
        try require(classes, in: 1...1_000_000, "--classes")
        try require(divisor, in: 1...1024, "--divisor")
        try require(batch, in: 1...65_536, "--batch")
        try require(inferenceBatch, in: 1...65_536, "--inference-batch")
        try require(threads, in: 1...1024, "--threads")
        func forbid(_ isGiven: Bool, _ text: String) throws {
            if isGiven { throw ValidationError(text) }
        }
        try forbid(within != nil && phi != nil, "give --phi or --within, one of them")
        try forbid(
            search != nil && (phi != nil || within != nil || compare || measure),
            "--search stands without --phi, --within, --compare and --measure")
        try forbid(compare && dimension != .compound, "--compare goes with --dimension compound")
        try forbid(search == .proxy && data == nil, "--search proxy needs --data")
        try forbid(
            search != .proxy
                && (data != nil || proxySteps != nil || rounds != nil || budget != nil),
            "--data, --proxy-steps, --rounds and --budget go with --search proxy")
    }

    func run() throws {
        var model = try Models.scalable(base)
        if let side { model.input = [model.input[0], side, side] }
        model.classes = classes ?? model.classes
        model.divisor = divisor ?? model.divisor
        if let search {
            try self.search(search, model)
        } else if let within {
            guard
                let found = try model.largest(
                    along: scaling, within: within.limit,
                    precision: within.cost.isMeasured ? 1.0 / 8 : 1.0 / 64,
                    cost: { try cost(within.cost, $0) })
            else {
                throw CommandError(
                    "\(within.text) lies beyond what \(base) becomes between phi -12 and 12; choose "
                        + "another --base or limit")
            }
            try report(model, [found.phi])
        } else {
            try report(model, phi?.values ?? [0, 1, 2, 3])
        }
    }

    var scaling: CompoundScaling {
        switch dimension {
        case .compound: CompoundScaling(alpha: alpha, beta: beta, gamma: gamma)
        case .depth: .depthOnly
        case .width: .widthOnly
        case .resolution: .resolutionOnly
        }
    }

    var engine: Session.Configuration {
        var configuration = Session.Configuration()
        if let threads { configuration.threads = threads }
        configuration.precision = precision.precision
        return configuration
    }

    func cost(_ cost: NetworkCost, _ network: Network) throws -> Double {
        try cost.of(
            network, batch: cost == .inferenceTime ? inferenceBatch : batch,
            configuration: engine)
    }

    func format(_ value: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }
}
