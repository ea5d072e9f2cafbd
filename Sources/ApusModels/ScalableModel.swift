import ApusGraph
import ApusTensor

/// A network described by stages, and hence a base from which others of another depth, width and
/// resolution are made.
public struct ScalableModel: Sendable {
    public var name: String
    /// In the order an image meets them, the stem first.
    public var stages: [Stage]
    /// The image the base is meant for, [channels, height, width].
    public var input: Shape
    public var classes: Int
    /// Scaled widths are multiples of it.
    public var divisor: Int
    private let build: @Sendable (String, [Stage], Shape, Int) -> Network

    /// - Parameter build: makes the network of a name, its stages, its input and so many classes
    init(
        _ name: String, stages: [Stage], input: Shape, classes: Int, divisor: Int = 8,
        build: @escaping @Sendable (String, [Stage], Shape, Int) -> Network
    ) {
        self.name = name
        self.stages = stages
        self.input = input
        self.classes = classes
        self.divisor = divisor
        self.build = build
    }

    /// The base itself, for other images or classes where they are given.
    public func network(input: Shape? = nil, classes: Int? = nil) -> Network {
        build(name, stages, input ?? self.input, classes ?? self.classes)
    }

    /// The base made larger or smaller.
    public func scaled(_ factors: ScaleFactors) -> ScalableModel {
        var model = self
        model.stages = stages.map { $0.scaled(factors, divisor: divisor) }
        let sides = input.dimensions.dropFirst().map {
            max(1, Int((Double($0) * factors.resolution).rounded()))
        }
        model.input = Shape([input[0]] + sides)
        if factors != ScaleFactors() {
            func short(_ factor: Double) -> Double { (factor * 1000).rounded() / 1000 }
            model.name +=
                "-d\(short(factors.depth))-w\(short(factors.width))-r\(short(factors.resolution))"
        }
        return model
    }

    /// The largest network along `scaling` whose cost is within `limit`, with its phi and cost; nil if
    /// even a 4096th of the base is not, or if 4096 times the base still is.
    ///
    /// Costs must not fall as phi rises. Phi is found to `precision` by bisection, so the network is
    /// the largest one up to a change of phi of that much.
    public func largest(
        along scaling: CompoundScaling, within limit: Double, precision: Double = 1.0 / 64,
        cost: (Network) throws -> Double
    ) throws -> (phi: Double, model: ScalableModel, cost: Double)? {
        func at(_ phi: Double) throws -> (phi: Double, model: ScalableModel, cost: Double) {
            let model = scaled(scaling.at(phi).factors)
            return (phi, model, try cost(model.network()))
        }
        var best = try at(0)
        var tooLarge = 1.0
        if best.cost <= limit {
            while true {
                let next = try at(tooLarge)
                if next.cost > limit { break }
                best = next
                tooLarge += 1
                if tooLarge > 12 { return nil }
            }
        } else {
            while best.cost > limit {
                tooLarge = best.phi
                if tooLarge < -11 { return nil }
                best = try at(tooLarge - 1)
            }
        }
        while tooLarge - best.phi > precision {
            let middle = try at((tooLarge + best.phi) / 2)
            if middle.cost <= limit { best = middle } else { tooLarge = middle.phi }
        }
        return best
    }
}
