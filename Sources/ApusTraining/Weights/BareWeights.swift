import ApusData
import ApusFiles
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor

/// A file that holds weights and nothing else, with what its shapes and a description say of it.
struct BareWeights {
    let path: String
    /// Under our names.
    let file: TensorFile
    let network: Network
    let preprocessing: Preprocessing
    let classNames: [String]

    init(_ path: String, _ description: TrainedModel.Description) throws {
        let original: TensorFile
        (original, self.path) = try TrainedModel.open(path)
        let usual = try Models.named(description.model)
        let graph = try usual.graph(batch: 1, mode: .inference)
        file = EfficientNetNames.translate(original, for: graph.parameters.map(\.name))
        // The first weight knows the channels, the last one the classes.
        let weights = graph.parameters.filter { $0.role == .weight }
        let first = weights.first.flatMap { [file] in file[$0.name]?.shape }
        let last = weights.last.flatMap { [file] in file[$0.name]?.shape }
        let channels = first.map { $0.rank == 4 && $0[1] == 1 ? 1 : 3 } ?? usual.input[0]
        let names = description.classNames
        let outputs = last.flatMap { $0.rank == 2 ? $0[0] : nil }
        if let names, let outputs, names.count != outputs {
            throw TrainingError(
                "\(path) is of a network with \(outputs) classes, the data has \(names.count); "
                    + "choose other data or weights")
        }
        let classes = names?.count ?? outputs ?? 1000
        guard (1...1_000_000).contains(classes) else {
            throw TrainingError("\(path) is of a network with \(classes) classes; choose another")
        }
        var preprocessing = BareWeights.preprocessing(description, channels, usual)
        var size = preprocessing.crop ?? description.imageShape?.size ?? ImageSize(usual.input[1])
        if let known = description.preprocessing ?? PretrainedWeights.preprocessing(description) {
            preprocessing = known
            size = known.crop ?? size
        }
        try preprocessing.validate()
        self.preprocessing = preprocessing
        network = try Models.named(
            description.model, input: [channels, size.height, size.width], classes: classes)
        let isImageNet = classes == ImageNet.labels.count && usual.input[1] > 32
        classNames =
            names ?? (isImageNet ? ImageNet.labels : (0..<classes).map { "class \($0)" })
    }

    /// Of the description's numbers, ImageNet's for what it leaves out.
    private static func preprocessing(
        _ description: TrainedModel.Description, _ channels: Int, _ usual: Network
    ) -> Preprocessing {
        func perChannel(_ values: [Float]?, _ usual: [Float]) -> [Float] {
            let values = values ?? (channels == 1 ? [usual.reduce(0, +) / 3] : usual)
            return values.count == 1 && channels == 3
                ? [Float](repeating: values[0], count: 3) : values
        }
        let imageNet = Preprocessing.imageNet()
        var preprocessing = Preprocessing(
            channels: channels, mean: perChannel(description.mean, imageNet.mean),
            deviation: perChannel(description.deviation, imageNet.deviation))
        if description.side != nil || description.imageShape == nil {
            let side = description.side ?? usual.input[1]
            preprocessing.crop = ImageSize(side)
            // Photographs show their subject in the middle: the border is cut as in training.
            preprocessing.resize = .shortSide(side >= 128 ? side * 256 / 224 : side)
        }
        return preprocessing
    }
}

extension ParameterStore {
    /// Loads a file whose names must be exactly these parameters'.
    func load(all file: TensorFile, from path: String, model: String) throws {
        let report = ParityReport(network: shapes, file: file)
        guard report.isExact else { throw TrainingError(report.problem(path, model: model)) }
        try load(file, from: path)
    }
}
