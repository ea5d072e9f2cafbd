import ApusData
import ApusGraph
import ApusModels
import ApusTensor
import ApusTraining

/// The images experiments learn from and are tested on.
public struct LabData: Sendable {
    public private(set) var name: String
    public private(set) var train: any ImageSource
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
        input = shape.input
    }

    /// The same images changed: `change` gets both splits.
    public func mapped(
        _ name: String, _ change: (any ImageSource) -> any ImageSource
    ) throws -> LabData {
        try LabData(name, train: change(train), test: change(test))
    }

    /// The same data with only a share of the training images, as many of every class, prepared as
    /// before. A share of 1 is all.
    package func labelled(_ share: Double) -> LabData {
        if share >= 1 { return self }
        let labels = (0..<train.count).map { Int32(train.label(at: $0)) }
        let drawn = BalancedSubset.draw(
            share, of: labels, classes: classes, key: RandomKey(seed: 0).child("labels"))
        var part = self
        part.name = "\(name), \(drawn.count) labels"
        part.train = SubsetSource(train, indices: drawn)
        return part
    }

    /// The same images resized to what a network takes.
    func fitted(to input: Shape) -> LabData {
        if input == self.input { return self }
        var fitted = self
        fitted.input = input
        fitted.preprocessing.resize = .exact(ImageSize(height: input[1], width: input[2]))
        fitted.preprocessing.crop = nil
        return fitted
    }

    /// The network called `name`, as `Models.named` knows it, for these images. With `scale`, images are
    /// resized for it: half their size is a quarter of the work.
    func network(_ name: String, scale: Double = 1) throws -> Network {
        let sides = input.dimensions.dropFirst().map { max(1, Int(Double($0) * scale)) }
        return try Models.named(name, input: Shape([input[0]] + sides), classes: classes)
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

/// Some images of a source: `Subset(source, count: n)` has n of them, evenly spaced.
typealias Subset = SubsetSource
