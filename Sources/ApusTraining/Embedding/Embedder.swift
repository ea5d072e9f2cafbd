import ApusData
import ApusRuntime
import ApusTensor
import Dispatch
import Synchronization

/// Makes embeddings of sets of images and of single ones.
///
/// Unlike in training, images of any size are taken, and one that cannot be read does not end the
/// work: it is listed among the failures.
public final class Embedder {
    public let extractor: FeatureExtractor
    private let preparation: ImagePreparation

    public init(_ extractor: FeatureExtractor) {
        self.extractor = extractor
        preparation = ImagePreparation(
            extractor.encoder.preprocessing, input: extractor.encoder.network.input)
    }

    /// Embeds every image of `source`, in order.
    ///
    /// - Parameters:
    ///   - data: how errors and files call the source
    ///   - hasLabels: whether the source's labels mean anything
    ///   - isStrict: throws the first failure instead of listing all
    ///   - progress: hears how many images are done
    ///   - shouldStop: is asked after every batch; when it says yes, a `CancellationError` is thrown
    public func embed(
        _ source: any ImageSource, data: String, split: Split?, hasLabels: Bool,
        isStrict: Bool = false, progress: (Int) -> Void = { _ in },
        shouldStop: () -> Bool = { false }
    ) throws -> Embedding {
        var elements: [Float] = []
        elements.reserveCapacity(source.count * extractor.width)
        var samples: [Int] = []
        var failures: [Embedding.Failure] = []
        for start in stride(from: 0, to: source.count, by: extractor.batch) {
            let range = start..<min(start + extractor.batch, source.count)
            let problems = try embed(range.count, into: &elements) { position in
                (try source.image(at: start + position), source.name(of: start + position))
            }
            for (sample, problem) in zip(range, problems) {
                guard let problem else {
                    samples.append(sample)
                    continue
                }
                if isStrict { throw problem }
                failures.append(.init(name: source.name(of: sample), problem: "\(problem)"))
            }
            progress(range.upperBound)
            if shouldStop() { throw CancellationError() }
        }
        guard !samples.isEmpty else {
            throw TrainingError(
                "\(data) has no image that can be read"
                    + (failures.first.map { ": \($0.problem)" } ?? "; choose another folder"))
        }
        return Embedding(
            Tensor([samples.count, extractor.width], elements),
            names: samples.map(source.name(of:)), samples: samples,
            labels: hasLabels ? samples.map(source.label(at:)) : nil,
            source: Embedding.Source(
                encoder: extractor.encoder.network.name,
                fingerprint: extractor.encoder.parameters.fingerprint, layer: extractor.layer,
                data: data, split: split, classNames: hasLabels ? source.classNames : [],
                failures: failures))
    }

    /// The vectors [images, width] of single images; throws the first problem.
    public func embed(_ images: [(image: Image, name: String)]) throws -> Tensor {
        var elements: [Float] = []
        for start in stride(from: 0, to: images.count, by: extractor.batch) {
            let count = min(extractor.batch, images.count - start)
            let problems = try embed(count, into: &elements) { images[start + $0] }
            if let problem = problems.compactMap(\.self).first { throw problem }
        }
        return Tensor([images.count, extractor.width], elements)
    }

    /// Appends the vectors of those of up to a batch of images that can be read; the others' problems
    /// are returned at their positions.
    private func embed(
        _ count: Int, into elements: inout [Float],
        _ image: @Sendable (Int) throws -> (Image, String)
    ) throws -> [(any Error)?] {
        let size = preparation.count
        let input = Arena(count: count * size)
        let problems = Mutex([(any Error)?](repeating: nil, count: count))
        let preparation = preparation
        DispatchQueue.concurrentPerform(iterations: count) { position in
            do {
                let (picture, name) = try image(position)
                try preparation.write(
                    picture, name: name, to: input.base + position * size,
                    scratch: TransformScratch())
            } catch {
                problems.withLock { $0[position] = error }
            }
        }
        let found = problems.withLock { $0 }
        var prepared: [Float] = []
        for position in 0..<count where found[position] == nil {
            prepared += UnsafeBufferPointer(start: input.base + position * size, count: size)
        }
        let good = found.count { $0 == nil }
        if good > 0 {
            let shape = Shape([good] + extractor.encoder.network.input.dimensions)
            elements += extractor.features(Tensor(shape, prepared)).elements
        }
        return found
    }
}
