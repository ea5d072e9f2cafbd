import ApusGraph
import ApusModels
import ApusTraining

/// Ways to make a base network larger.
struct ScaledNetworks: Codable {
    struct Way: Codable {
        var name: String
        var scaling: CompoundScaling
        var network: Network
        /// As a multiple of the base's.
        var cost: Double
    }

    var ways: [Way]
}

extension LabContext {
    private struct ScalingRequest: Hashable, Codable {
        var base: Network
        var ways: [CompoundScaling]
        var cost: NetworkCost
        var factor: Double
        var threads: Int
    }

    private struct SearchRequest: Hashable, Codable {
        var base: Network
        var data: String
        var images: Int
        var learningRate: Float
        var seconds: Double
        var threads: Int
    }

    private struct Found: Codable {
        var scaling: CompoundScaling
        var score: Double
        var round: Int
    }

    /// The largest network of every way that costs at most `factor` times the base. Measured once and
    /// kept: times differ from run to run.
    func scaled(
        _ base: ScalableModel, _ ways: [(name: String, scaling: CompoundScaling)],
        cost: NetworkCost, factor: Double
    ) throws -> ScaledNetworks {
        let request = ScalingRequest(
            base: base.network(), ways: ways.map(\.scaling), cost: cost, factor: factor,
            threads: options.threads)
        return try once("scaling", request) {
            func price(_ network: Network) throws -> Double {
                if shouldStop() { throw LabInterrupted() }
                report("sizing networks by \(cost.rawValue)")
                return try cost.of(network, batch: 64, configuration: configuration)
            }
            let own = try price(base.network())
            return ScaledNetworks(
                ways: try ways.map { name, scaling in
                    let largest = try base.largest(
                        along: scaling, within: factor * own, precision: 1.0 / 8, cost: price)
                    return ScaledNetworks.Way(
                        name: name, scaling: scaling.at(largest?.phi ?? 0),
                        network: (largest?.model ?? base).network(),
                        cost: (largest?.cost ?? own) / own)
                })
        }
    }

    /// The best multipliers above 1 of a grid by short trainings at twice the base's multiply-adds, for so
    /// many seconds. The best third is trained three times as long, and again; those of the last round
    /// come first, the best before the others.
    func searchedScaling(
        _ base: ScalableModel, _ data: LabData, learningRate: Float, seconds: Double
    ) throws -> [(scaling: CompoundScaling, score: Double, round: Int)] {
        let request = SearchRequest(
            base: base.network(), data: data.name, images: data.train.count,
            learningRate: learningRate, seconds: seconds, threads: options.threads)
        let found = try once("search", request) {
            var search = ScalingSearch(base)
            // Growing at once is growing in all three.
            search.points = CompoundScaling.grid(step: 0.05).filter {
                min($0.alpha, $0.beta, $0.gamma) > 1
            }
            search.rounds = 3
            let step =
                try NetworkCost.stepTime.of(
                    base.network(), batch: 64, configuration: configuration) / 1000
            var proxy = ProxyTraining(
                train: data.train, test: data.test, preprocessing: data.preprocessing)
            func count(_ network: Network) throws -> Double {
                try NetworkCost.multiplyAdds.of(network, batch: 1)
            }
            // Every round takes as long as the others.
            let trainings = Double(search.rounds * (try search.candidates(within: count).count))
            proxy.steps = Int(min(max(0.7 * seconds / (2 * step * trainings), 2), 2000))
            proxy.learningRate = learningRate
            proxy.testImages = min(max(proxy.steps * 16, 64), 2000)
            return try search.best(
                within: count,
                proxy: {
                    if shouldStop() { throw LabInterrupted() }
                    report("searching for multipliers: \($0.name)")
                    return try proxy.score($0, round: $1, configuration: configuration)
                }
            ).map { Found(scaling: $0.scaling, score: $0.score ?? 0, round: $0.round) }
        }
        return found.map { ($0.scaling, $0.score, $0.round) }
    }
}
