import ApusRuntime
import ApusTensor
import CKernels
import Foundation

/// What an optimizer is, without its state.
public enum OptimizerRecipe: Hashable, Codable, Sendable {
    /// Stochastic gradient descent as PyTorch computes it: decay is added to the gradient, the
    /// learning rate stays outside the velocity.
    case sgd(momentum: Float, nesterov: Bool)
    /// Adam with decoupled decay (Loshchilov and Hutter 2019).
    case adamW(beta1: Float, beta2: Float, epsilon: Float)

    public static let defaultSGD = OptimizerRecipe.sgd(momentum: 0.9, nesterov: false)
    public static let defaultAdamW = OptimizerRecipe.adamW(
        beta1: 0.9, beta2: 0.999, epsilon: 1e-8)
}

/// Moves parameters against their gradients, in one pass over contiguous memory.
public final class Optimizer {
    public let recipe: OptimizerRecipe
    /// Applied to the tensors whose name says weight of a convolution or dense layer; biases and
    /// normalization are left alone unless `decaysEverything`.
    public let weightDecay: Float
    public let decaysEverything: Bool
    /// Steps taken so far.
    public var stepCount = 0

    private let store: ParameterStore
    /// Velocities, or first and second moments: as long as the parameters.
    private let state: [Arena]
    /// Contiguous ranges with one decay and one factor of the learning rate; frozen ones are in none.
    private let segments: [(range: Range<Int>, decay: Float, factor: Float)]

    /// - Parameter rateFactors: what the learning rate is multiplied by, by parameter; 1 where nothing
    ///   is said. 0 leaves a parameter and its state untouched.
    public init(
        _ recipe: OptimizerRecipe, weightDecay: Float = 0, decaysEverything: Bool = false,
        rateFactors: [String: Float] = [:], for store: ParameterStore
    ) {
        self.recipe = recipe
        self.weightDecay = weightDecay
        self.decaysEverything = decaysEverything
        self.store = store
        let count = store.parameterBlock.count
        switch recipe {
        case .sgd: state = [Arena(count: count)]
        case .adamW: state = [Arena(count: count), Arena(count: count)]
        }
        var segments: [(range: Range<Int>, decay: Float, factor: Float)] = []
        for (index, slot) in store.parameters.enumerated() {
            let end =
                index + 1 < store.parameters.count ? store.parameters[index + 1].offset : count
            let decay = slot.isDecayed || decaysEverything ? weightDecay : 0
            let factor = rateFactors[slot.name] ?? 1
            if factor == 0 { continue }
            if let last = segments.last, last.decay == decay, last.factor == factor,
                last.range.upperBound == slot.offset
            {
                segments[segments.count - 1].range = last.range.lowerBound..<end
            } else {
                segments.append((slot.offset..<end, decay, factor))
            }
        }
        self.segments = segments
    }

    /// Bytes of the state kept between steps.
    public var byteCount: Int {
        state.map(\.count).reduce(0, +) * MemoryLayout<Float>.stride
    }

    /// The Euclidean norm of all gradients together. Parts of a fixed size are added in a fixed order:
    /// the result does not depend on the number of threads.
    public func gradientNorm(threads: Int = Machine.cores) -> Float {
        let gradients = store.gradientBlock
        let part = 1 << 16
        var sums = [Double](repeating: 0, count: (gradients.count + part - 1) / part)
        sums.withUnsafeMutableBufferPointer { sums in
            EngineThread.shared.perform {
                Team(threads: threads).split(sums.count) { begin, end in
                    for i in begin..<end {
                        sums[i] = apus_sum_of_squares(
                            gradients.base, i * part, min((i + 1) * part, gradients.count))
                    }
                }
            }
        }
        return Float(sums.reduce(0, +).squareRoot())
    }

    /// One update with the gradients of the store, each multiplied by `gradientFactor` first.
    public func step(rate: Float, gradientFactor: Float = 1, threads: Int = Machine.cores) {
        stepCount += 1
        let weights = store.parameterBlock.base
        let gradients = store.gradientBlock.base
        EngineThread.shared.perform {
            let team = Team(threads: threads)
            team.splitArray(store.parameterBlock.count) { begin, end in
                for (range, decay, factor) in segments {
                    let rate = rate * factor
                    let part = range.clamped(to: begin..<max(begin, end))
                    if part.isEmpty { continue }
                    switch recipe {
                    case .sgd(let momentum, let nesterov):
                        apus_sgd(
                            weights, gradients, state[0].base, rate, momentum, decay,
                            gradientFactor, nesterov, part.lowerBound, part.upperBound)
                    case .adamW(let beta1, let beta2, let epsilon):
                        apus_adamw(
                            weights, gradients, state[0].base, state[1].base, rate, beta1, beta2,
                            epsilon, decay, gradientFactor, correction(beta1), correction(beta2),
                            part.lowerBound, part.upperBound)
                    }
                }
            }
        }
        store.markChanged()
    }

    /// 1 - beta^steps: undoes the bias of moments that start at zero.
    private func correction(_ beta: Float) -> Float {
        Float(1 - pow(Double(beta), Double(stepCount)))
    }

    /// Names of the state's parts in a checkpoint.
    var stateNames: [String] {
        switch recipe {
        case .sgd: ["velocity"]
        case .adamW: ["moment1", "moment2"]
        }
    }

    /// The state by part and parameter, as it is stored.
    func stateTensors() -> [(name: String, tensor: Tensor)] {
        zip(stateNames, state).flatMap { part, arena in
            store.parameters.map { slot in
                let start = arena.base + slot.offset
                return (
                    "optimizer.\(part).\(slot.name)",
                    Tensor(
                        slot.shape,
                        Array(UnsafeBufferPointer(start: start, count: slot.shape.count)))
                )
            }
        }
    }

    /// Restores what `stateTensors` gave; returns the name of the first tensor that is missing or
    /// has another shape.
    func restore(_ tensor: (String) -> Tensor?) -> String? {
        for (part, arena) in zip(stateNames, state) {
            for slot in store.parameters {
                let name = "optimizer.\(part).\(slot.name)"
                guard let saved = tensor(name), saved.shape == slot.shape else { return name }
                saved.elements.withUnsafeBufferPointer { source in
                    guard let base = source.baseAddress else { return }
                    (arena.base + slot.offset).update(from: base, count: slot.shape.count)
                }
            }
        }
        return nil
    }
}
