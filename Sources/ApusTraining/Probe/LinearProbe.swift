import ApusRuntime
import ApusTensor
import Foundation

/// Measures a representation by what a linear classifier reads from it: multinomial logistic
/// regression on frozen features by preconditioned L-BFGS, with the penalty chosen on a held-out
/// part of the *training* features, then fitted to all of them. Test features are none of its
/// business.
///
/// The penalties are the 45 of SimCLR (Chen et al. 2020, appendix B.8): four a decade from 1e-6 to
/// 1e5. As in CLIP (Radford et al. 2021, appendix A.3) not all are tried: first one a decade, then
/// the neighbors of the best, half a decade and a quarter away.
public struct LinearProbe: Sendable {
    /// The share of the training features that the penalty is chosen on.
    public var heldOutShare = 0.1
    /// Decides which features are held out.
    public var seed: UInt64 = 0
    public var threads = Machine.cores
    /// The most iterations of L-BFGS for a candidate, and for the final fit.
    public var candidateIterations = 200
    public var finalIterations = 1000

    public init() {}

    /// All penalties that can be chosen, the strongest first: on N features the squared weights
    /// count penalty / (2 N) beside the mean cross entropy.
    public static let penalties = (0...44).map { pow(10, 5 - Double($0) / 4) }

    /// A penalty that was tried.
    public struct Candidate: Hashable, Codable, Sendable {
        public var penalty: Double
        /// Of the held-out features.
        public var accuracy: Double
    }

    /// A classifier and how it came to be.
    public struct Fit: Hashable, Sendable {
        public var classifier: LinearClassifier
        public var penalty: Double
        /// What the penalty was chosen by.
        public var heldOutAccuracy: Double
        public var candidates: [Candidate]
        /// Of the final fit, on all training features.
        public var trainAccuracy: Double
        public var iterations: Int
        /// Passes over the features, those for candidates included.
        public var evaluations: Int
    }

    /// Chooses a penalty and fits a classifier to all of `data`. `shouldStop` is asked before every
    /// pass over the features; when it says yes, a `CancellationError` is thrown.
    public func fit(
        _ data: LabelledFeatures, shouldStop: () -> Bool = { false }
    ) throws -> Fit {
        let key = RandomKey(seed: seed).child("held out")
        let (kept, heldOut) = BalancedSubset.holdOut(
            heldOutShare, of: data.labels, classes: data.classes, key: key)
        guard !heldOut.isEmpty else {
            throw TrainingError(
                "a penalty cannot be chosen with one image a class; give at least two of each")
        }
        let small = Problem(try data.part(kept), threads: threads)
        let judge = try data.part(heldOut)
        var tried: [Int: Double] = [:]
        var points: [Int: [Double]] = [:]
        var evaluations = 0

        func attempt(_ index: Int) throws {
            guard tried[index] == nil, Self.penalties.indices.contains(index) else { return }
            // The solution for the next stronger penalty is near.
            let start = points.keys.filter { $0 < index }.max().flatMap { points[$0] }
            let result = try small.solve(
                penalty: Self.penalties[index], from: start, iterations: candidateIterations,
                shouldStop)
            evaluations += result.evaluations
            points[index] = result.point
            tried[index] = small.classifier(result.point).accuracy(judge)
        }
        /// The best so far; of equal ones the strongest.
        func best() -> Int {
            tried.keys.sorted().reduce(0) { (tried[$1] ?? 0) > (tried[$0] ?? 0) ? $1 : $0 }
        }
        for index in stride(from: 0, to: Self.penalties.count, by: 4) {
            try attempt(index)
            // Weaker penalties take the longest to fit; three decades without a gain are enough.
            if index >= best() + 12 { break }
        }
        for distance in [2, 1] {
            let center = best()
            try attempt(center - distance)
            try attempt(center + distance)
        }
        let chosen = best()
        let whole = Problem(data, threads: threads)
        let result = try whole.solve(
            penalty: Self.penalties[chosen], from: points[chosen], iterations: finalIterations,
            shouldStop)
        let classifier = whole.classifier(result.point)
        return Fit(
            classifier: classifier, penalty: Self.penalties[chosen],
            heldOutAccuracy: tried[chosen] ?? 0,
            candidates: tried.keys.sorted().map {
                Candidate(penalty: Self.penalties[$0], accuracy: tried[$0] ?? 0)
            },
            trainAccuracy: classifier.accuracy(data), iterations: result.iterations,
            evaluations: evaluations + result.evaluations)
    }

    /// Fits a classifier with a penalty that is given: for a quick look during training.
    public func fit(
        _ data: LabelledFeatures, penalty: Double, shouldStop: () -> Bool = { false }
    ) throws -> LinearClassifier {
        let problem = Problem(data, threads: threads)
        return problem.classifier(
            try problem.solve(
                penalty: penalty, from: nil, iterations: finalIterations, shouldStop
            ).point)
    }
}

/// One set of features to fit to.
private struct Problem {
    let scaling: FeatureScaling
    let objective: SoftmaxRegression
    private let covariance: [Double]

    init(_ data: LabelledFeatures, threads: Int) {
        scaling = FeatureScaling(data.features)
        objective = SoftmaxRegression(data, scaling, threads: threads)
        covariance = objective.covariance()
    }

    func solve(
        penalty: Double, from start: [Double]?, iterations: Int, _ shouldStop: () -> Bool
    ) throws -> LBFGS.Result {
        var solver = LBFGS()
        solver.maximumIterations = iterations
        let round = Preconditioner(
            covariance: covariance, width: objective.width, classes: objective.classes,
            ridge: penalty / Double(objective.count))
        let zero = [Double](repeating: 0, count: objective.classes * (objective.width + 1))
        var result = try solver.minimize(from: round.coordinates(start ?? zero)) { u, gradient in
            if shouldStop() { throw CancellationError() }
            var own = zero
            let value = objective.value(round.point(u), penalty: penalty, gradient: &own)
            gradient = round.gradient(own)
            return value
        }
        result.point = round.point(result.point)
        return result
    }

    func classifier(_ point: [Double]) -> LinearClassifier {
        LinearClassifier(scaling, point: point, classes: objective.classes)
    }
}
