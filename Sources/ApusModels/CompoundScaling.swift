/// Depth, width and resolution as multiples of a base network's.
public struct ScaleFactors: Hashable, Codable, Sendable {
    public var depth: Double
    public var width: Double
    public var resolution: Double

    public init(depth: Double = 1, width: Double = 1, resolution: Double = 1) {
        self.depth = depth
        self.width = width
        self.resolution = resolution
    }
}

/// How a network grows in depth, width and resolution together (Tan and Le: "EfficientNet:
/// Rethinking Model Scaling for Convolutional Neural Networks", 2019, equation 3): by alpha^phi,
/// beta^phi and gamma^phi, so that its multiply-adds grow as (alpha beta^2 gamma^2)^phi.
public struct CompoundScaling: Hashable, Codable, Sendable {
    public var alpha: Double
    public var beta: Double
    public var gamma: Double
    /// 0 is the base; with multipliers whose `growth` is 2 every unit doubles the multiply-adds.
    public var phi: Double

    public init(alpha: Double, beta: Double, gamma: Double, phi: Double = 1) {
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.phi = phi
    }

    /// What the paper's grid search found for EfficientNet-B0.
    public static let published = CompoundScaling(alpha: 1.2, beta: 1.1, gamma: 1.15)

    /// One dimension alone, at the same multiply-adds for every phi: what compound scaling is
    /// compared with.
    public static let depthOnly = CompoundScaling(alpha: 2, beta: 1, gamma: 1)
    public static let widthOnly = CompoundScaling(alpha: 1, beta: (2.0).squareRoot(), gamma: 1)
    public static let resolutionOnly = CompoundScaling(
        alpha: 1, beta: 1, gamma: (2.0).squareRoot())

    /// The same multipliers at another phi.
    public func at(_ phi: Double) -> CompoundScaling {
        CompoundScaling(alpha: alpha, beta: beta, gamma: gamma, phi: phi)
    }

    public var factors: ScaleFactors {
        ScaleFactors(
            depth: power(alpha, phi), width: power(beta, phi), resolution: power(gamma, phi))
    }

    /// By what a unit of phi multiplies the multiply-adds, apart from rounding. In a dense block
    /// every layer reads all before it, so they grow by up to alpha times more.
    public var growth: Double { alpha * beta * beta * gamma * gamma }

    /// The points of the paper's grid search: all multipliers in steps from 1, alpha being the one that
    /// brings `growth` closest to the given one. Trying only such points leaves a plane of the cube.
    public static func grid(step: Double = 0.1, growth: Double = 2) -> [CompoundScaling] {
        precondition(step > 0 && growth >= 1, "a grid goes up from 1")
        var points: [CompoundScaling] = []
        for i in 0... {
            let beta = 1 + Double(i) * step
            guard growth / (beta * beta) >= 1 - step / 2 else { break }
            for j in 0... {
                let gamma = 1 + Double(j) * step
                let alpha = growth / (beta * beta * gamma * gamma)
                guard alpha >= 1 - step / 2 else { break }
                // An alpha a little above 1 would cost a block in every stage: they are rounded up.
                let steps = ((alpha - 1) / step).rounded()
                points.append(
                    CompoundScaling(alpha: 1 + steps * step, beta: beta, gamma: gamma))
            }
        }
        return points
    }
}

/// `base` to a power, for positive bases: whole powers by multiplication, the fraction bit by bit
/// from square roots. (The folder imports no mathematics library.)
package func power(_ base: Double, _ exponent: Double) -> Double {
    if exponent < 0 { return 1 / power(base, -exponent) }
    let whole = Int(exponent)
    var result = 1.0
    for _ in 0..<whole { result *= base }
    var fraction = exponent - Double(whole)
    var root = base
    while fraction > 0 {
        root = root.squareRoot()
        fraction *= 2
        if fraction >= 1 {
            result *= root
            fraction -= 1
        }
    }
    return result
}
