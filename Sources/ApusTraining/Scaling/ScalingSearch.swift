import ApusGraph
import ApusModels

/// Searches for the alpha, beta and gamma of compound scaling.
///
/// The paper's search takes the multipliers with alpha beta^2 gamma^2 near 2, hence networks of about
/// twice the base's multiply-adds, and keeps those of the best accuracy after training. Here every
/// direction of the grid is followed as far as a budget allows: twice the base's cost, counted in
/// multiply-adds or measured in time on this machine. All candidates then cost the same up to
/// rounding, whatever the kernels make of width, depth and resolution, and the best by a proxy wins.
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
        public let score: Double?
    }

    public let base: ScalableModel
    public var points = CompoundScaling.grid()
    /// What candidates may cost, as a multiple of the base's cost.
    public var factor = 2.0
    /// How exactly candidates fill the budget, in phi.
    public var precision = 1.0 / 16

    public init(_ base: ScalableModel) { self.base = base }

    /// The best by `proxy` within `factor` times the base's cost first. Directions in which no network
    /// larger than the base fits are left out.
    public func best(
        within cost: (Network) throws -> Double, proxy: (Network) throws -> Double,
        progress: (Int, Candidate) -> Void = { _, _ in }
    ) throws -> [Candidate] {
        let own = try cost(base.network())
        let multiplyAdds = try count(base)
        var found: [Candidate] = []
        for (index, point) in points.enumerated() {
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
            let candidate = Candidate(
                scaling: CompoundScaling(
                    alpha: factors.depth, beta: factors.width, gamma: factors.resolution),
                model: largest.model, multiplyAdds: try count(largest.model) / multiplyAdds,
                cost: largest.cost / own, score: try proxy(largest.model.network()))
            found.append(candidate)
            progress(index, candidate)
        }
        return found.sorted { ($0.score ?? 0) > ($1.score ?? 0) }
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
                cost: try cost(model.network()) / own, score: nil)
            found.append(candidate)
            progress(index, candidate)
        }
        return found.sorted { $0.cost < $1.cost }
    }

    private func count(_ model: ScalableModel) throws -> Double {
        try NetworkCost.multiplyAdds.of(model.network(), batch: 1)
    }
}
