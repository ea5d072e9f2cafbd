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
            first; with step-time or inference-time every point is timed, and the ratio printed by \
            which the time grows where multiply-adds double.

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
            search != .proxy && (data != nil || proxySteps != nil || budget != nil),
            "--data, --proxy-steps and --budget go with --search proxy")
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

    private var scaling: CompoundScaling {
        switch dimension {
        case .compound: CompoundScaling(alpha: alpha, beta: beta, gamma: gamma)
        case .depth: .depthOnly
        case .width: .widthOnly
        case .resolution: .resolutionOnly
        }
    }

    private var engine: Session.Configuration {
        var configuration = Session.Configuration()
        if let threads { configuration.threads = threads }
        configuration.precision = precision.precision
        return configuration
    }

    private func cost(_ cost: NetworkCost, _ network: Network) throws -> Double {
        try cost.of(
            network, batch: cost == .inferenceTime ? inferenceBatch : batch,
            configuration: engine)
    }

    // MARK: - Networks

    private func report(_ model: ScalableModel, _ phis: [Double]) throws {
        var lines: [ScaleLine] = []
        for phi in phis {
            let point = scaling.at(phi)
            lines.append(try line(model, point, dimension.rawValue))
            guard compare, phi != 0 else { continue }
            for (name, single) in [
                ("depth", CompoundScaling.depthOnly), ("width", .widthOnly),
                ("resolution", .resolutionOnly),
            ] {
                let limit = Double(lines[lines.count - 1].multiply_adds) * 1.0001
                let largest = try model.largest(along: single, within: limit) {
                    try cost(.multiplyAdds, $0)
                }
                if let largest {
                    lines.insert(
                        try line(model, single.at(largest.phi), name), at: lines.count - 1)
                }
            }
        }
        if json {
            for line in lines { try printJSON(line) }
        } else {
            table(lines).print()
            print("\nmultiply-adds are those of convolutions and matrix products")
        }
    }

    private func line(
        _ base: ScalableModel, _ point: CompoundScaling, _ dimension: String
    ) throws -> ScaleLine {
        let model = base.scaled(point.factors)
        let network = model.network()
        var line = ScaleLine(
            base: base.name, dimension: dimension, phi: point.phi, depth: point.factors.depth,
            width: point.factors.width, resolution: point.factors.resolution,
            depths: model.stages.map(\.depth), widths: model.stages.map(\.width),
            input: model.input, parameters: Int(try cost(.parameters, network)),
            multiply_adds: Int(try cost(.multiplyAdds, network)),
            step_bytes: Int(try cost(.stepBytes, network)), batch: batch)
        if measure || within?.cost.isMeasured == true {
            line.inference_batch = inferenceBatch
            line.inference_ms = try cost(.inferenceTime, network)
        }
        if measure || within?.cost == .stepTime { line.step_ms = try cost(.stepTime, network) }
        return line
    }

    private func table(_ lines: [ScaleLine]) -> Table {
        let isTimed = lines.contains { $0.inference_ms != nil || $0.step_ms != nil }
        var table = Table(
            columns: [
                ("scaled", .left), ("phi", .right), ("depth", .right), ("width", .right),
                ("resolution", .right), ("input", .left), ("blocks", .left), ("widths", .left),
                ("parameters (M)", .right), ("multiply-adds (G)", .right),
                ("step of \(batch)", .right),
            ] + (isTimed ? [("inference (ms)", .right), ("step (ms)", .right)] : []))
        for line in lines {
            table.add(
                row: [
                    line.dimension, format(line.phi, 2), format(line.depth, 3),
                    format(line.width, 3), format(line.resolution, 3), line.input.description,
                    line.depths.map(String.init).joined(separator: " "),
                    line.widths.map(String.init).joined(separator: " "),
                    format(Double(line.parameters) / 1e6, 2),
                    format(Double(line.multiply_adds) / 1e9, 3), Readable.bytes(line.step_bytes),
                    line.inference_ms.map { format($0, 1) } ?? "",
                    line.step_ms.map { format($0, 1) } ?? "",
                ])
        }
        return table
    }

    // MARK: - Search

    private func search(_ kind: SearchName, _ base: ScalableModel) throws {
        var model = base
        let found: [ScalingSearch.Candidate]
        func note(_ index: Int, _ candidate: ScalingSearch.Candidate) {
            let score = candidate.score.map { ", accuracy \(Readable.percent($0))" } ?? ""
            Terminal.note(
                "point \(index + 1): \(candidate.model.name), \(format(candidate.cost, 2)) times "
                    + "the cost\(score)")
        }
        switch kind {
        case .proxy:
            let proxy = try proxy(&model)
            found = try search(model).best(
                within: { try cost(budget ?? .multiplyAdds, $0) },
                proxy: { try proxy.score($0, configuration: engine) }, progress: note)
        case .stepTime, .inferenceTime:
            let time: NetworkCost = kind == .stepTime ? .stepTime : .inferenceTime
            found = try search(model).cheapest(by: { try cost(time, $0) }, progress: note)
        }
        if found.isEmpty {
            throw CommandError(
                "no network of the grid larger than \(model.name) costs at most twice as much: "
                    + "blocks are rounded up; choose a --base with more blocks a stage")
        }
        let what = kind == .proxy ? (budget ?? .multiplyAdds).rawValue : kind.rawValue
        var table = Table(
            columns: [
                ("alpha", .right), ("beta", .right), ("gamma", .right),
                ("multiply-adds", .right), (what, .right),
            ] + (kind == .proxy ? [("accuracy", .right)] : [("of 2^phi", .right)]))
        for candidate in found {
            if json {
                try printJSON(SearchLine(model, candidate, what))
                continue
            }
            let scaling = candidate.scaling
            table.add(
                format(scaling.alpha, 3), format(scaling.beta, 3), format(scaling.gamma, 3),
                "x " + format(candidate.multiplyAdds, 2), "x " + format(candidate.cost, 2),
                candidate.score.map { Readable.percent($0) } ?? format(candidate.cost / 2, 2))
        }
        if !json { table.print() }
    }

    private func search(_ model: ScalableModel) -> ScalingSearch {
        var search = ScalingSearch(model)
        search.points = CompoundScaling.grid(step: gridStep)
        return search
    }

    /// The training that ranks networks; the base gets the images and classes of the data.
    private func proxy(_ model: inout ScalableModel) throws -> ProxyTraining {
        let name = data ?? ""
        let train = try DataSets.open(name, split: .train)
        guard let test = try DataSets.openTest(name) else {
            throw CommandError(
                "\(name) has no test split to rank networks by; put the images in train/ and test/")
        }
        let (preprocessing, shape) = try Preprocessing.suggested(
            for: train, name: name, side: side)
        model.input = [shape.channels, shape.height, shape.width]
        model.classes = train.classNames.count
        var proxy = ProxyTraining(train: train, test: test, preprocessing: preprocessing)
        proxy.steps = proxySteps ?? proxy.steps
        proxy.batch = batch
        return proxy
    }

    private func format(_ value: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }
}

/// The names are those other tools read.
private struct ScaleLine: Encodable {
    var base: String
    var dimension: String
    var phi: Double
    /// Multipliers of the base.
    var depth: Double
    var width: Double
    var resolution: Double
    /// Blocks and channels of every stage, from the stem on.
    var depths: [Int]
    var widths: [Int]
    var input: Shape
    var parameters: Int
    var multiply_adds: Int
    /// Of a training step of `batch` images.
    var step_bytes: Int
    var batch: Int
    var inference_batch: Int?
    var inference_ms: Double?
    var step_ms: Double?
}

private struct SearchLine: Encodable {
    var base: String
    var alpha: Double
    var beta: Double
    var gamma: Double
    var depths: [Int]
    var widths: [Int]
    var input: Shape
    /// As multiples of the base's.
    var multiply_adds_ratio: Double
    var cost: String
    var cost_ratio: Double
    /// The ratio over the one expected of phi = 1, which is 2.
    var cost_ratio_of_2_phi: Double
    var accuracy: Double?

    init(_ base: ScalableModel, _ candidate: ScalingSearch.Candidate, _ cost: String) {
        self.base = base.name
        alpha = candidate.scaling.alpha
        beta = candidate.scaling.beta
        gamma = candidate.scaling.gamma
        depths = candidate.model.stages.map(\.depth)
        widths = candidate.model.stages.map(\.width)
        input = candidate.model.input
        multiply_adds_ratio = candidate.multiplyAdds
        self.cost = cost
        cost_ratio = candidate.cost
        cost_ratio_of_2_phi = candidate.cost / 2
        accuracy = candidate.score
    }
}
