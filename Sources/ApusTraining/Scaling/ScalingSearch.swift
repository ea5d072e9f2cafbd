import ApusGraph
import ApusModels

/// Searches for the alpha, beta and gamma of compound scaling.
///
/// The paper's search takes the multipliers with alpha beta^2 gamma^2 near 2, hence networks of about
/// twice the base's multiply-adds, and keeps those of the best accuracy after training. Here every
/// direction of the grid is followed as far as a budget allows: twice the base's cost, counted in
/// multiply-adds or measured in time on this machine. All candidates then cost the same up to
/// rounding, whatever the kernels make of width, depth and resolution, and the best by a proxy wins.
/// Short trainings of networks that cost the same differ by little more than seeds do. With several
/// rounds the best third of each goes on to the next, whose trainings are to be longer: successive
/// halving (Jamieson and Talwalkar: "Non-stochastic Best Arm Identification and Hyperparameter
/// Optimization", 2016), which spends as much on every round.
/// Without a proxy the candidates stay on the grid, and what is found is by how much the measured time
/// grows where the multiply-adds double: below 2 is a cheap direction on this machine, not yet a
/// good one.
public struct ScalingSearch {
    /// A point of the grid and what became of it.
    public struct Candidate: Sendable {
        /// The direction, scaled to the budget: its phi of 1 is the network tried.
        public let scaling: CompoundScaling
        public let model: ScalableModel
        /// Multiply-adds and the budget's cost, as multiples of the base's.
        public let multiplyAdds: Double
        public let cost: Double
        /// What the proxy said, the higher the better; nil without one.
        public fileprivate(set) var score: Double?
        /// The round that said so, from 0.
        public fileprivate(set) var round = 0
    }

    public let base: ScalableModel
    public var points = CompoundScaling.grid()
    /// What candidates may cost, as a multiple of the base's cost.
    public var factor = 2.0
    /// How exactly candidates fill the budget, in phi.
    public var precision = 1.0 / 16
    /// How often there is a proxy; the best third, rounded up, goes on to the next, unless it is one.
    public var rounds = 1

    /// By what a round divides the candidates, and by what its proxy should take longer.
    public static let reduction = 3

    public init(_ base: ScalableModel) { self.base = base }

    /// The best by `proxy` within `factor` times the base's cost first: those of the last round, then
    /// those of the one before. Directions in which no network larger than the base fits are left out.
    ///
    /// - Parameters:
    ///   - proxy: scores a network in a round, counted from 0; one of a later round should look
    ///     `reduction` times as long
    ///   - progress: is told how many scores there are and the last one
    public func best(
        within cost: (Network) throws -> Double, proxy: (Network, Int) throws -> Double,
        progress: (Int, Candidate) -> Void = { _, _ in }
    ) throws -> [Candidate] {
        precondition(rounds > 0, "a search has a round")
        var left = try candidates(within: cost)
        var found: [Candidate] = []
        var scored = 0
        for round in 0..<rounds where round == 0 || left.count > 1 {
            for index in left.indices {
                left[index].score = try proxy(left[index].model.network(), round)
                left[index].round = round
                scored += 1
                progress(scored, left[index])
            }
            left.sort { ($0.score ?? 0) > ($1.score ?? 0) }
            if round == rounds - 1 { break }
            let kept = (left.count + Self.reduction - 1) / Self.reduction
            found = left[kept...] + found
            left.removeSubrange(kept...)
        }
        return left + found
    }

    /// What `best` chooses from: the networks that differ, one in every direction, as large as `factor`
    /// allows. Nothing is trained.
    public func candidates(within cost: (Network) throws -> Double) throws -> [Candidate] {
        let own = try cost(base.network())
        let multiplyAdds = try count(base)
        var found: [Candidate] = []
        for point in points {
            guard
                let largest = try base.largest(
                    along: point, within: factor * own, precision: precision, cost: cost)
            else { continue }
            // Where a block in every stage is too much already, a direction has no other network.
            guard largest.model.stages != base.stages || largest.model.input != base.input else {
                continue
            }
            let factors = point.at(largest.phi).factors
            // Neighbouring directions may round to one network.
            let isKnown = found.contains {
                $0.model.stages == largest.model.stages && $0.model.input == largest.model.input
            }
            if isKnown { continue }
            found.append(
                Candidate(
                    scaling: CompoundScaling(
                        alpha: factors.depth, beta: factors.width, gamma: factors.resolution),
                    model: largest.model, multiplyAdds: try count(largest.model) / multiplyAdds,
                    cost: largest.cost / own))
        }
        return found
    }

    /// How the measured cost grows at every point of the grid, the cheapest first.
    public func cheapest(
        by cost: (Network) throws -> Double, progress: (Int, Candidate) -> Void = { _, _ in }
    ) throws -> [Candidate] {
        let own = try cost(base.network())
        let multiplyAdds = try count(base)
        var found: [Candidate] = []
        for (index, point) in points.enumerated() {
            let model = base.scaled(point.factors)
            let candidate = Candidate(
                scaling: point, model: model, multiplyAdds: try count(model) / multiplyAdds,
                cost: try cost(model.network()) / own)
            found.append(candidate)
            progress(index + 1, candidate)
        }
        return found.sorted { $0.cost < $1.cost }
    }

    private func count(_ model: ScalableModel) throws -> Double {
        try NetworkCost.multiplyAdds.of(model.network(), batch: 1)
    }
}
