import Apus

extension ScaleCommand {
    /// Prints what a search finds.
    func search(_ kind: SearchName, _ base: ScalableModel) throws {
        var model = base
        let found: [ScalingSearch.Candidate]
        func note(_ index: Int, _ candidate: ScalingSearch.Candidate) {
            let score = candidate.score.map { ", accuracy \(Readable.percent($0))" } ?? ""
            Terminal.note(
                "\(index): \(candidate.model.name), \(format(candidate.cost, 2)) times "
                    + "the cost\(score)")
        }
        switch kind {
        case .proxy:
            let proxy = try proxy(&model)
            let limit = budget ?? .multiplyAdds
            var measured = 0
            found = try search(model).best(
                within: { network in
                    let cost = try cost(limit, network)
                    measured += 1
                    // Each takes a second or more; there are several a candidate.
                    if limit.isMeasured {
                        Terminal.note("measured \(measured): \(format(cost, 2)) ms")
                    }
                    return cost
                },
                proxy: { try proxy.score($0, round: $1, configuration: engine) }, progress: note)
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
            ]
                + (kind == .proxy
                    ? [("accuracy", .right), ("round", .right)] : [("of 2^phi", .right)]))
        for candidate in found {
            if json {
                try printJSON(SearchLine(model, candidate, what))
                continue
            }
            let scaling = candidate.scaling
            table.add(
                row: [
                    format(scaling.alpha, 3), format(scaling.beta, 3), format(scaling.gamma, 3),
                    "x " + format(candidate.multiplyAdds, 2), "x " + format(candidate.cost, 2),
                ]
                    + (candidate.score.map { [Readable.percent($0), "\(candidate.round + 1)"] }
                        ?? [format(candidate.cost / 2, 2)]))
        }
        if !json { table.print() }
    }

    private func search(_ model: ScalableModel) -> ScalingSearch {
        var search = ScalingSearch(model)
        search.points = CompoundScaling.grid(step: gridStep)
        search.rounds = rounds ?? 1
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
        model.input = shape.input
        model.classes = train.classNames.count
        var proxy = ProxyTraining(train: train, test: test, preprocessing: preprocessing)
        proxy.steps = proxySteps ?? proxy.steps
        proxy.batch = batch
        return proxy
    }
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
    /// The round of --rounds that gave the accuracy, from 1.
    var round: Int?

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
        round = candidate.score.map { _ in candidate.round + 1 }
    }
}
