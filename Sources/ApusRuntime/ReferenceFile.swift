import ApusTensor

/// Results of a model, computed elsewhere in 64-bit floats for the weights and the input that
/// `ReferenceFormula` gives.
public struct ReferenceFile: Hashable, Sendable, Decodable {
    /// The model's name, as `Models.named` knows it.
    public let model: String
    /// The shape of the input batch.
    public let input: Shape
    public let classes: Int
    public let labels: [Int]
    /// Trainable numbers.
    public let parameters: Int
    /// A row for each image, of the first 16 classes where there are 1000; with running statistics.
    public let evalLogits: [[Double]]
    /// The same with the batch's statistics.
    public let trainLogits: [[Double]]
    /// The mean cross entropy of the training logits.
    public let loss: Double
    /// The gradients of the loss by parameter name.
    public let gradients: [String: TensorBrief]
    /// Parameters and running statistics after one step of stochastic gradient descent with
    /// learning rate 0.1, momentum 0.9 and weight decay 1e-4 on every parameter.
    public let afterOneSGDStep: [String: TensorBrief]

    private enum CodingKeys: String, CodingKey {
        case model, input, classes, labels, parameters, loss, gradients
        case evalLogits = "eval_logits"
        case trainLogits = "train_logits"
        case afterOneSGDStep = "after_one_sgd_step"
    }

    /// What is wrong with the file in itself, in words that follow its name; nil where nothing is.
    public var problem: String? {
        guard input.rank == 4, input.dimensions.allSatisfy({ $0 > 0 }) else {
            return "the input is no batch of images, but \(input)"
        }
        guard classes > 0 else { return "classes must be at least 1, not \(classes)" }
        guard labels.count == input[0], labels.allSatisfy({ (0..<classes).contains($0) }) else {
            return "labels must be \(input[0]) numbers, one an image, each below \(classes)"
        }
        let rows = evalLogits + trainLogits
        guard evalLogits.count == input[0], trainLogits.count == input[0],
            let width = rows.first?.count, (1...classes).contains(width),
            rows.allSatisfy({ $0.count == width })
        else {
            return "logits must be \(input[0]) rows of up to \(classes) numbers, one an image"
        }
        return nil
    }

    /// What the error of each gradient is relative to: its norm.
    ///
    /// A shift that reaches nothing but batch norms is subtracted again, so its gradient is zero, of
    /// which 64 bits leave about 1e-16: that is relative to the median norm of all gradients.
    public var gradientScales: [String: Double] {
        let norms = gradients.values.map(\.l2).sorted()
        guard let largest = norms.last else { return [:] }
        let median = norms[norms.count / 2]
        return gradients.mapValues { $0.l2 < 1e-12 * largest ? median : $0.l2 }
    }
}

/// What a reference file keeps of a tensor.
public struct TensorBrief: Hashable, Sendable, Decodable {
    public let shape: Shape
    /// The square root of the sum of squares.
    public let l2: Double
    public let sum: Double
    /// The first four elements in row-major order, or all of fewer.
    public let first: [Double]

    /// How far the norm of another tensor is from this one's, relative to `scale`, by default this
    /// norm. Infinite for another shape and for what is no number.
    public func normError(of other: TensorBrief, scale: Double? = nil) -> Double {
        guard shape == other.shape, other.l2.isFinite else { return .infinity }
        return abs(l2 - other.l2) / max(scale ?? l2, 1e-30)
    }

    /// The norm of the whole difference if all elements differ as much as the first do, relative to
    /// `scale`: numbers of the right size in the wrong places are seen by it, not by their norm.
    public func elementError(of other: TensorBrief, scale: Double? = nil) -> Double {
        guard shape == other.shape, first.count == other.first.count, !first.isEmpty,
            other.l2.isFinite
        else { return .infinity }
        let squares = zip(first, other.first).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let whole = (squares * Double(shape.count) / Double(first.count)).squareRoot()
        return whole / max(scale ?? l2, 1e-30)
    }

    /// The brief of a tensor given by its elements in row-major order.
    public init(_ shape: Shape, _ elements: [Double]) {
        precondition(
            shape.count == elements.count, "\(elements.count) elements do not fill \(shape)")
        self.shape = shape
        l2 = elements.reduce(0) { $0 + $1 * $1 }.squareRoot()
        sum = elements.reduce(0, +)
        first = Array(elements.prefix(4))
    }
}

/// The weights and inputs that reference results are computed for: numbers that follow from a name,
/// so that no weights need to be stored.
public enum ReferenceFormula {
    /// The elements of the parameter or buffer called `name`, in row-major order.
    ///
    /// Weights have the variance 2 / fan-in of He et al. 2015, so that activations neither vanish
    /// nor grow; everything else is a small perturbation of its usual initial value. The formula is
    /// evaluated in 64 bits and then rounded to the 32 bits that weights are stored in, so that
    /// executors of either precision start from the same numbers.
    public static func values(_ name: String, shape: Shape) -> [Double] {
        exactValues(name, shape).map { Double(Float($0)) }
    }

    private static func exactValues(_ name: String, _ shape: Shape) -> [Double] {
        if name.hasSuffix("running_mean") { return signed(name, shape).map { 0.1 * $0 } }
        if name.hasSuffix("running_var") { return uniform(name, shape).map { 1 + 0.5 * $0 } }
        if shape.rank >= 2 {
            let fanIn = Double(shape.count / shape[0])
            let bound = (6 / fanIn).squareRoot()
            return signed(name, shape).map { $0 * bound }
        }
        if name.hasSuffix("weight") { return signed(name, shape).map { 1 + 0.1 * $0 } }
        return signed(name, shape).map { 0.1 * $0 }
    }

    /// The input images, in row-major order.
    public static func input(_ shape: Shape) -> [Double] { signed("input", shape) }

    /// Numbers in 0..<1.
    private static func uniform(_ name: String, _ shape: Shape) -> [Double] {
        let key = RandomKey(state: RandomKey.hash(name))
        return (0..<shape.count).map { Double(key.uniform(at: $0)) }
    }

    /// Numbers in -1..<1.
    private static func signed(_ name: String, _ shape: Shape) -> [Double] {
        uniform(name, shape).map { 2 * $0 - 1 }
    }
}
