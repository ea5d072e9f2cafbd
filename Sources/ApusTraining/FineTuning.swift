import ApusGraph

/// Which parameters learn, and how fast beside each other: for networks that start from weights
/// trained on other data.
public struct FineTuning: Hashable, Codable, Sendable {
    /// What keeps the weights it starts with. Frozen parameters get no update and no decay; frozen
    /// batch norms normalize with their running statistics, which stay as they are.
    public enum Frozen: Hashable, Codable, Sendable {
        case nothing
        /// What comes before the first stage.
        case stem
        /// All but the last dense layer: a linear classifier on fixed features.
        case allButHead
        /// Layers by their path, such as `layer1` or `features.denseblock1`, with all they contain.
        case layers([String])
    }

    public var frozen = Frozen.nothing
    /// The learning rate of all but the head as a multiple of the head's.
    public var backboneRate: Float = 1
    /// What the rate is multiplied by for every part (stage, stem) farther from the head: general
    /// features need to change less than special ones (Howard and Ruder 2018).
    public var rateDecay: Float = 1

    public init(
        frozen: Frozen = .nothing, backboneRate: Float = 1, rateDecay: Float = 1
    ) {
        self.frozen = frozen
        self.backboneRate = backboneRate
        self.rateDecay = rateDecay
    }

    func validate() throws {
        for (value, option) in [(backboneRate, "--backbone-rate"), (rateDecay, "--rate-decay")] {
            guard value > 0, value <= 1 else {
                throw TrainingError("\(option) must be above 0 and at most 1, not \(value)")
            }
        }
    }

    /// What the learning rate of every parameter is multiplied by; 0 where it is frozen.
    ///
    /// Throws a `TrainingError` for layers the network does not have, and where nothing would learn.
    public func rateFactors(_ network: Network) throws -> [String: Float] {
        if self == FineTuning() { return [:] }
        let parts = try network.parts()
        var factors: [String: Float] = [:]
        for (distance, part) in parts.reversed().enumerated() {
            var factor = distance == 0 ? 1 : backboneRate
            for _ in 0..<distance { factor *= rateDecay }
            for name in part { factors[name] = factor }
        }
        for name in try frozenNames(parts, network) { factors[name] = 0 }
        guard factors.values.contains(where: { $0 > 0 }) else {
            throw TrainingError("--freeze leaves nothing of \(network.name) to train")
        }
        return factors
    }

    private func frozenNames(_ parts: [[String]], _ network: Network) throws -> [String] {
        switch frozen {
        case .nothing: return []
        case .stem:
            guard parts.count > 2 else {
                throw TrainingError(
                    "\(network.name) has no stages, hence no stem before them; name the layers to "
                        + "--freeze")
            }
            return parts[0]
        case .allButHead: return parts.dropLast().flatMap(\.self)
        case .layers(let paths):
            let names = parts.flatMap(\.self)
            return try paths.flatMap { path in
                let inside = names.filter { $0 == path || $0.hasPrefix(path + ".") }
                guard !inside.isEmpty else {
                    let known = network.stages.joined(separator: ", ")
                    throw TrainingError(
                        "--freeze \(path): \(network.name) has no layer of this path with "
                            + "parameters"
                            + (known.isEmpty ? "" : "; its stages are \(known)"))
                }
                return inside
            }
        }
    }
}
