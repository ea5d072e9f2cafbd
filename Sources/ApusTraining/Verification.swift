import ApusCompiler
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import Foundation

/// Runs a model with formula weights on the engine and compares it with results that PyTorch
/// computed in 64-bit floats.
public struct Verification: Hashable, Codable, Sendable {
    public var model: String
    /// The number format of images.
    public var precision: Precision
    /// Largest differences of logits, relative to the largest logit; with brain floats to their
    /// range.
    public var evalLogits = 0.0
    public var trainLogits = 0.0
    /// Relative.
    public var loss = 0.0
    /// The largest relative difference of a parameter's gradient by its Euclidean norm, and whose.
    public var gradients = 0.0
    public var worstGradient = ""
    /// Likewise after a step of SGD, of parameters and running statistics.
    public var updates = 0.0
    public var worstUpdate = ""
    /// The largest relative error of a gradient or an updated tensor by its first elements
    /// (`TensorBrief.elementError`), and whose.
    public var elements = 0.0
    public var worstElements = ""

    /// How far rounding alone moves the training pass; nil where everything is within the tolerances.
    public var rounding: RoundingFloor?

    /// The largest difference of logits and loss that passes: 1e-4 or, with brain floats, 3e-2.
    public var logitTolerance: Double { precision == .fp32 ? 1e-4 : 3e-2 }
    /// Likewise of gradients, updates and elements; with brain floats they are printed, not judged.
    public var gradientTolerance: Double { precision == .fp32 ? 1e-3 : .infinity }

    /// Errors within their tolerance or, where rounding alone moves the results further, within
    /// twice that movement.
    public var passes: Bool {
        let logits = max(logitTolerance, 2 * (rounding?.logits ?? 0))
        let gradient = max(gradientTolerance, 2 * (rounding?.gradients ?? 0))
        return evalLogits <= logitTolerance && max(trainLogits, loss) <= logits
            && max(gradients, updates) <= gradient
            && elements <= max(gradientTolerance, 2 * (rounding?.elements ?? 0))
    }

    /// Errors within the tolerances themselves.
    public var isWithinTolerance: Bool { evalLogits <= logitTolerance && !exceedsTolerance }

    private var exceedsTolerance: Bool {
        max(trainLogits, loss) > logitTolerance
            || max(gradients, updates, elements) > gradientTolerance
    }

    /// Throws where the file contradicts itself, names a model Apus does not have or other tensors than
    /// the model has.
    public init(_ file: ReferenceFile, configuration: Session.Configuration = .init()) throws {
        if let problem = file.problem { throw TrainingError(problem) }
        model = file.model
        precision = configuration.precision
        let network = try Models.named(
            file.model, input: Shape(Array(file.input.dimensions.dropFirst())),
            classes: file.classes
        ).withoutDropout()
        let batch = file.input[0]
        let graph = try network.graph(batch: batch, mode: .training)
        let store = ParameterStore(graph, seed: 0)
        for name in store.names {
            guard let shape = store.shape(name) else { continue }
            let values = ReferenceFormula.values(name, shape: shape).map(Float.init)
            try store.set(name, Tensor(shape, values))
        }
        // PyTorch counts batches; nothing depends on it.
        let known = Set(store.names)
        for name in Set(file.gradients.keys).union(file.afterOneSGDStep.keys).subtracting(known)
            .sorted()
        where !name.hasSuffix("num_batches_tracked") {
            throw TrainingError("\(file.model) has no parameter or buffer '\(name)'")
        }

        // First: it refuses a batch that does not fit into memory.
        let inference = try Session(
            network.graph(batch: batch, mode: .inference), parameters: store,
            configuration: configuration)
        let images = ReferenceFormula.input(file.input).map(Float.init)
        inference.setInput("images", images)
        inference.run()
        evalLogits = Verification.difference(inference, file.evalLogits)

        let session = try Session.training(
            network, batch: batch, parameters: store, configuration: configuration)
        let optimizer = Optimizer(
            .defaultSGD, weightDecay: 1e-4, decaysEverything: true, for: store)
        let result = try session.step(
            images: Tensor(file.input, images), labels: file.labels.map(Int32.init),
            optimizer: optimizer, rate: 0.1)
        trainLogits = Verification.difference(session, file.trainLogits)
        loss = abs(Double(result.loss) - file.loss) / abs(file.loss)
        let scales = file.gradientScales
        for name in store.names {
            guard let value = store.tensor(name), let after = file.afterOneSGDStep[name] else {
                throw TrainingError("'\(name)' after a step of SGD is missing")
            }
            compare(value, after, name, \.updates, \.worstUpdate)
            guard let gradient = store.gradient(name) else { continue }
            guard let brief = file.gradients[name] else {
                throw TrainingError("the gradient of '\(name)' is missing")
            }
            compare(gradient, brief, name, \.gradients, \.worstGradient, scale: scales[name])
        }
        if exceedsTolerance {
            rounding = try RoundingFloor(session, store, images, file)
        }
    }

    /// The reference may hold only the first logits of each row.
    private static func difference(
        _ session: Session, _ reference: [[Double]]
    ) -> Double {
        let logits = session.output("logits")
        let classes = logits.shape[1]
        let scale = logitScale(Array(reference.joined()), session.program)
        var worst = 0.0
        for (row, expected) in reference.enumerated() {
            for (k, value) in expected.enumerated() {
                worst = max(worst, abs(Double(logits.elements[row * classes + k]) - value))
            }
        }
        return worst / scale
    }

    /// What differences of logits are measured by.
    static func logitScale(_ logits: [Double], _ program: Program) -> Double {
        program.options.precision == .fp32
            ? logits.map(abs).max() ?? 1 : (logits.max() ?? 1) - (logits.min() ?? 0)
    }

    /// Keeps the errors of a tensor that are the largest so far.
    private mutating func compare(
        _ tensor: Tensor, _ reference: TensorBrief, _ name: String,
        _ norm: WritableKeyPath<Verification, Double>,
        _ worst: WritableKeyPath<Verification, String>,
        scale: Double? = nil
    ) {
        let own = TensorBrief(tensor.shape, tensor.elements.map(Double.init))
        let error = reference.normError(of: own, scale: scale)
        if error >= self[keyPath: norm] {
            self[keyPath: norm] = error
            self[keyPath: worst] = name
        }
        let elementError = reference.elementError(of: own, scale: scale)
        if elementError >= elements { (elements, worstElements) = (elementError, name) }
    }
}
