import ApusGraph
import ApusTensor
import Foundation

extension Initializer {
    /// Writes the starting values of one parameter: a pure function of the key.
    func fill(_ target: UnsafeMutableBufferPointer<Float>, fans: Fans, key: RandomKey) {
        let fanIn = Float(max(fans.input, 1))
        let fanOut = Float(max(fans.output, 1))
        switch self {
        case .heNormal(let fan):
            normal(target, deviation: (2 / (fan == .in ? fanIn : fanOut)).squareRoot(), key)
        case .heUniform(let fan):
            uniform(target, bound: (6 / (fan == .in ? fanIn : fanOut)).squareRoot(), key)
        case .xavierNormal:
            normal(target, deviation: (2 / (fanIn + fanOut)).squareRoot(), key)
        case .xavierUniform:
            uniform(target, bound: (6 / (fanIn + fanOut)).squareRoot(), key)
        case .lecunNormal:
            normal(target, deviation: (1 / fanIn).squareRoot(), key)
        case .uniformFanIn:
            uniform(target, bound: (1 / fanIn).squareRoot(), key)
        case .normal(let deviation):
            normal(target, deviation: deviation, key)
        case .constant(let value):
            target.update(repeating: value)
        }
    }

    private func uniform(
        _ target: UnsafeMutableBufferPointer<Float>, bound: Float, _ key: RandomKey
    ) {
        for i in target.indices { target[i] = (2 * key.uniform(at: i) - 1) * bound }
    }

    /// Box and Muller's transform of two uniform numbers an element.
    private func normal(
        _ target: UnsafeMutableBufferPointer<Float>, deviation: Float, _ key: RandomKey
    ) {
        for i in target.indices {
            // 1 - u is in (0, 1]: the logarithm is finite.
            let radius = (-2 * log(1 - Double(key.uniform(at: 2 * i)))).squareRoot()
            let angle = 2 * Double.pi * Double(key.uniform(at: 2 * i + 1))
            target[i] = deviation * Float(radius * cos(angle))
        }
    }
}
