import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor

/// Which vector represents an image.
public enum FeatureLayer: String, Hashable, Codable, Sendable, CaseIterable {
    /// h, before the projection head: what is used after pretraining.
    case representation
    /// z, behind the head: what the loss of pretraining sees.
    case projection
}

/// Runs an encoder on images in batches.
public final class FeatureExtractor {
    public let encoder: FeatureEncoder
    public let layer: FeatureLayer
    public let batch: Int
    /// The length of a vector.
    public let width: Int
    private let session: Session

    public init(
        _ encoder: FeatureEncoder, layer: FeatureLayer = .representation, batch: Int,
        configuration: Session.Configuration = .init()
    ) throws {
        guard layer == .representation || encoder.head != nil else {
            throw TrainingError(
                "\(encoder.network.name) has no projection head; only pretraining runs have one: "
                    + "use the representation")
        }
        self.encoder = encoder
        self.layer = layer
        self.batch = batch
        session = try Session(
            FeatureEncoder.graph(
                encoder.network, layer == .projection ? encoder.head : nil, batch: batch),
            parameters: encoder.parameters, configuration: configuration)
        width = session.outputShape(layer.rawValue)[1]
    }

    /// The features [n, width] of up to `batch` images.
    public func features(_ images: Tensor) -> Tensor {
        session.rows(layer.rawValue, of: images)
    }

    /// The features and labels of every image of a source, each read once, in their order.
    ///
    /// - Parameters:
    ///   - progress: hears how many images are done
    ///   - shouldStop: is asked after every batch; when it says yes, a `CancellationError` is thrown
    public func features(
        of source: any ImageSource, workers: Int = 2, progress: (Int) -> Void = { _ in },
        shouldStop: () -> Bool = { false }
    ) throws -> LabelledFeatures {
        let loader = try Loader(
            source: source, preprocessing: encoder.preprocessing,
            options: .evaluation(batchSize: batch, workers: max(1, workers)))
        defer { loader.stop() }
        try loader.requireImages(encoder.network.input)
        var elements: [Float] = []
        var labels: [Int32] = []
        elements.reserveCapacity(source.count * width)
        while let next = try loader.next() {
            elements += features(next.images).elements
            labels += next.labels
            progress(labels.count)
            if shouldStop() { throw CancellationError() }
        }
        return try LabelledFeatures(
            Tensor([labels.count, width], elements), labels: labels,
            classes: source.classNames.count)
    }
}
