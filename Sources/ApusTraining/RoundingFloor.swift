import ApusRuntime
import ApusTensor

/// How far a training pass moves when every weight and pixel is changed by about its own
/// rounding.
///
/// A rectifier whose input is nearly zero opens or closes with the last bit of any 32-bit sum, and
/// batch statistics of a few values amplify it from layer to layer: no arithmetic of 32 bits comes
/// closer to the exact result than this. Above its limit it excuses nothing.
public struct RoundingFloor: Hashable, Codable, Sendable {
    /// The largest change of a logit, relative to the largest logit.
    public private(set) var logits = 0.0
    /// The largest relative change of a parameter's gradient by its Euclidean norm.
    public private(set) var gradients = 0.0
    /// The largest relative change of a parameter's gradient by its first elements.
    public private(set) var elements = 0.0

    /// Compares four runs whose weights and pixels differ by up to two units in the bit after the
    /// last of their format: the 25th of a 32-bit float, the 9th of a brain float.
    init(
        _ session: Session, _ store: ParameterStore, _ images: [Float], _ file: ReferenceFile
    ) throws {
        let isBrainFloat = session.program.options.precision == .bf16
        let unit: Float = isBrainFloat ? 0x1p-9 : 0x1p-24
        let limit = isBrainFloat ? 0.5 : 0.05
        func run(_ number: Int) throws -> (logits: [Float], gradients: [String: TensorBrief]) {
            func perturbed(_ values: [Float], _ key: RandomKey) -> [Float] {
                if number == 0 { return values }
                return values.indices.map {
                    values[$0] * (1 + unit * (4 * key.uniform(at: $0) - 2))
                }
            }
            let key = RandomKey(seed: UInt64(number))
            for slot in store.parameters {
                let values = ReferenceFormula.values(slot.name, shape: slot.shape)
                let moved = perturbed(values.map(Float.init), key.child(slot.name))
                try store.set(slot.name, Tensor(slot.shape, moved))
            }
            session.setInput("images", perturbed(images, key.child("input")))
            session.run()
            var gradients: [String: TensorBrief] = [:]
            for slot in store.parameters {
                gradients[slot.name] = store.gradient(slot.name).map {
                    TensorBrief($0.shape, $0.elements.map(Double.init))
                }
            }
            return (session.output("logits").elements, gradients)
        }
        let base = try run(0)
        let scale = Verification.logitScale(base.logits.map(Double.init), session.program)
        let scales = file.gradientScales
        for number in 1...4 {
            let moved = try run(number)
            for (a, b) in zip(moved.logits, base.logits) {
                logits = max(logits, Double(abs(a - b)) / scale)
            }
            for (name, gradient) in moved.gradients {
                guard let own = base.gradients[name], let unit = scales[name] else { continue }
                gradients = max(gradients, own.normError(of: gradient, scale: unit))
                elements = max(elements, own.elementError(of: gradient, scale: unit))
            }
        }
        logits = min(logits, limit)
        gradients = min(gradients, limit)
        // Elements in the wrong places come to 1.4, negative ones to 2.
        elements = min(elements, 0.5)
    }
}
