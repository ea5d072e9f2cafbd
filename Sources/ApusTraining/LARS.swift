import CKernels

/// Layer-wise adaptive rate scaling (You et al. 2017): the step of every tensor is proportional to its
/// norm. The name stands for several optimizers, which differ in where the decay and the learning rate
/// enter; biases, normalization and excluded tensors get neither decay nor scaling in any.
public struct LARS: Hashable, Codable, Sendable {
    public enum Variant: String, Hashable, Codable, Sendable, CaseIterable {
        /// google-research/simclr: with d = g + decay * w and ratio = trust * |w| / |d|, the
        /// velocity v = momentum * v + rate * ratio * d is subtracted.
        case google
        /// timm: ratio = trust * |w| / (|g| + decay * |w| + 1e-8), the learning rate is outside the
        /// velocity v = momentum * v + ratio * (g + decay * w).
        case timm
    }

    public var variant = Variant.google
    public var momentum: Float = 0.9
    public var trustCoefficient: Float = 0.001
    /// Beginnings of the names of further tensors without decay and scaling, such as `head.`.
    public var excluded: [String] = []

    public init(variant: Variant = .google) { self.variant = variant }

    func excludes(_ name: String) -> Bool { excluded.contains { name.hasPrefix($0) } }

    /// The rate outside the velocity.
    func outerRate(_ rate: Float) -> Float { variant == .google ? 1 : rate }

    /// What the gradient of a tensor is multiplied with before it enters the velocity. A norm of zero
    /// says nothing of the scale: the ratio is then 1.
    func scale(
        rate: Float, decay: Float, gradientFactor: Float, isScaled: Bool,
        _ weights: UnsafePointer<Float>, _ gradients: UnsafePointer<Float>, _ range: Range<Int>
    ) -> Float {
        let innerRate = variant == .google ? rate : 1
        guard isScaled else { return innerRate }
        let (begin, end) = (range.lowerBound, range.upperBound)
        let weight = apus_sum_of_squares(weights, begin, end).squareRoot()
        let gradient = apus_sum_of_decayed_squares(
            gradients, weights, gradientFactor, variant == .google ? decay : 0, begin, end
        ).squareRoot()
        guard weight > 0, gradient > 0 else { return innerRate }
        let divisor =
            variant == .google ? gradient : gradient + weight * Double(decay) + 1e-8
        return Float(Double(innerRate) * Double(trustCoefficient) * weight / divisor)
    }
}

extension OptimizerRecipe {
    public static let defaultLARS = OptimizerRecipe.lars(LARS())

    var lars: LARS? { if case .lars(let lars) = self { lars } else { nil } }
}
