import ApusData
import ApusRuntime
import ApusTensor
import Foundation

/// Labels single images.
public final class Classifier {
    public let model: TrainedModel
    private let evaluator: Evaluator
    private let preparation: ImagePreparation
    private let scratch = TransformScratch()

    public init(
        _ model: TrainedModel, batch: Int = 1, configuration: Session.Configuration = .init()
    ) throws {
        self.model = model
        evaluator = try Evaluator(
            model.network, parameters: model.parameters, batch: batch,
            configuration: configuration)
        preparation = ImagePreparation(model.preprocessing, input: model.network.input)
    }

    /// An image as the network's input.
    ///
    /// Networks trained on images of one size take pictures of others, too, as `ImagePreparation` says.
    public func prepare(_ image: Image, name: String) throws -> [Float] {
        try [Float](unsafeUninitializedCapacity: preparation.count) { target, filled in
            guard let base = target.baseAddress else { return }
            try preparation.write(image, name: name, to: base, scratch: scratch)
            filled = preparation.count
        }
    }

    /// Which part of an image becomes the network's input, and how.
    func geometry(of image: Image, name: String) throws -> ViewGeometry {
        try preparation.geometry(of: image, name: name)
    }

    /// The probabilities of every class for each of the prepared images, any number of them.
    public func probabilities(_ prepared: [[Float]]) -> [[Float]] {
        var result: [[Float]] = []
        for start in stride(from: 0, to: prepared.count, by: evaluator.batch) {
            let part = prepared[start..<min(start + evaluator.batch, prepared.count)]
            let images = Tensor(
                Shape([part.count] + model.network.input.dimensions), Array(part.joined()))
            let logits = evaluator.logits(images)
            let classes = logits.shape[1]
            for row in 0..<part.count {
                result.append(softmax(logits.elements[row * classes..<(row + 1) * classes]))
            }
        }
        return result
    }

    private func softmax(_ scores: ArraySlice<Float>) -> [Float] {
        let largest = Double(scores.max() ?? 0)
        let powers = scores.map { exp(Double($0) - largest) }
        let sum = powers.reduce(0, +)
        return powers.map { Float($0 / sum) }
    }
}
