import ApusData
import ApusTensor
import ApusTraining

/// The images experiments learn from and are tested on.
public struct LabData: Sendable {
    public private(set) var name: String
    public let train: any ImageSource
    public let test: any ImageSource
    public private(set) var preprocessing: Preprocessing
    /// One image: [channels, height, width].
    public private(set) var input: Shape

    public var classes: Int { train.classNames.count }

    /// Opens a data set with both splits.
    public init(_ name: String) throws {
        try self.init(
            name, train: DataSets.open(name, split: .train),
            test: DataSets.open(name, split: .test))
    }

    public init(_ name: String, train: any ImageSource, test: any ImageSource) throws {
        self.name = name
        self.train = train
        self.test = test
        let (preprocessing, shape) = try Preprocessing.suggested(for: train, name: name)
        self.preprocessing = preprocessing
        input = [shape.channels, shape.height, shape.width]
    }

    /// The same images changed: `change` gets both splits.
    public func mapped(
        _ name: String, _ change: (any ImageSource) -> any ImageSource
    ) throws -> LabData {
        try LabData(name, train: change(train), test: change(test))
    }

    /// The same images at half their height and width: a quarter of the work.
    public func halved() -> LabData {
        var half = self
        half.input = [input[0], max(1, input[1] / 2), max(1, input[2] / 2)]
        half.preprocessing.resize = .exact(
            ImageSize(height: half.input[1], width: half.input[2]))
        half.name += ", half size"
        return half
    }

    /// Images and labels of a source as one batch: the first `count` or fewer.
    public func batch(_ source: any ImageSource, count: Int) throws -> Batch {
        let loader = try Loader(
            source: source, preprocessing: preprocessing,
            options: .evaluation(batchSize: min(count, source.count), workers: 1))
        defer { loader.stop() }
        guard let batch = try loader.next() else {
            throw LabError("\(name) has no images; choose other data with --data")
        }
        return batch
    }
}

/// Some images of a source, evenly spaced.
struct Subset: ImageSource {
    let source: any ImageSource
    let count: Int

    init(_ source: any ImageSource, count: Int) {
        self.source = source
        self.count = max(1, min(count, source.count))
    }

    private func place(_ index: Int) -> Int { index * source.count / count }

    var classNames: [String] { source.classNames }
    var imageShape: ImageShape? { source.imageShape }
    func label(at index: Int) -> Int { source.label(at: place(index)) }
    func image(at index: Int) throws -> Image { try source.image(at: place(index)) }
    func name(of index: Int) -> String { source.name(of: place(index)) }
}

extension Evaluator {
    /// Evaluates every image of a source.
    func evaluate(
        _ source: any ImageSource, _ preprocessing: Preprocessing
    ) throws -> Evaluation {
        let loader = try Loader(
            source: source, preprocessing: preprocessing,
            options: .evaluation(batchSize: batch, workers: 1))
        defer { loader.stop() }
        return try evaluate(loader)
    }
}
