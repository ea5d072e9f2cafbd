import ApusTensor

/// What is minimized when views of one image shall be recognized as such: a loss of the projections
/// [2N, d], whose rows 0..<N are the first views and N..<2N the second.
///
/// Similarity is the cosine, or the dot product of projections that are not normalized.
public enum ContrastiveLoss: Hashable, Codable, Sendable {
    /// The normalized temperature-scaled cross entropy (Chen et al. 2020).
    case ntXent(temperature: Float)
    /// The logistic loss of pairs and of all others (Chen et al. 2020, after Mnih and Kavukcuoglu).
    case ntLogistic(temperature: Float)
    /// The triplet loss, the mean over all negatives (Schroff et al. 2015).
    case margin(Float)
    /// The triplet loss of the one negative that is closest among those farther than the pair.
    case semiHard(margin: Float)
    /// All images of the same label belong together (Khosla et al. 2020, the sum outside the logarithm).
    case supervised(temperature: Float)

    /// A loss, its gradient and how well pairs are recognized.
    public struct Result: Hashable, Sendable {
        public let loss: Double
        /// The share of rows whose pair is nearer than every other row.
        public let accuracy: Double
        /// By the projections, [2N, d].
        public let gradient: Tensor
    }

    /// The loss of `projections` [2N, d], N >= 2. Memory grows with N times d; the result does not
    /// depend on the number of threads. The loss is not a number if a projection is not.
    ///
    /// - Parameters:
    ///   - labels: of the N images, for `supervised`
    ///   - normalizes: whether rows are divided by their length first
    public func callAsFunction(
        _ projections: Tensor, labels: [Int32] = [], normalizes: Bool = true, threads: Int = 1
    ) -> Result {
        let scale =
            switch self {
            case .ntXent(let t), .ntLogistic(let t), .supervised(let t): 1 / t
            case .margin, .semiHard: Float(1)
            }
        let matrix = SimilarityMatrix(
            projections, scale: scale, normalizes: normalizes, threads: threads)
        guard matrix.isFinite else {
            return Result(
                loss: .nan, accuracy: 0, gradient: Tensor(projections.shape, repeating: .nan))
        }
        let loss =
            switch self {
            case .ntXent: matrix.ntXent()
            case .ntLogistic: matrix.ntLogistic()
            case .margin(let margin): matrix.margin(margin)
            case .semiHard(let margin): matrix.semiHard(margin)
            case .supervised: matrix.supervised(labels)
            }
        return Result(loss: loss, accuracy: matrix.accuracy, gradient: matrix.gradient())
    }

    /// Whether labels are needed.
    public var isSupervised: Bool {
        if case .supervised = self { true } else { false }
    }

    /// Throws a `TrainingError` for a temperature or margin that makes no sense.
    func validate() throws {
        switch self {
        case .ntXent(let t), .ntLogistic(let t), .supervised(let t):
            guard t >= 1e-3, t.isFinite else {
                throw TrainingError("--temperature must be at least 0.001, not \(t)")
            }
        case .margin(let m), .semiHard(let m):
            guard m > 0, m.isFinite else {
                throw TrainingError("--margin must be a positive number, not \(m)")
            }
        }
    }
}
