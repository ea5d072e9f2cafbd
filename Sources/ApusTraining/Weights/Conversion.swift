import ApusCompiler
import ApusFiles
import ApusGraph
import ApusModels
import ApusONNX
import ApusTensor

extension TrainedModel {
    /// What a file says of itself besides the weights.
    public var description: ModelDescription {
        ModelDescription(network: network, preprocessing: preprocessing, classNames: classNames)
    }

    /// Writes the weights as safetensors, atomically.
    ///
    /// The names are exactly those of torchvision's `state_dict()`, counters of batches included, so
    /// that `load_state_dict(..., strict=True)` takes them; the metadata says all that Apus needs to
    /// use the file.
    public func writeSafetensors(to path: String) throws {
        var tensors: [NamedTensor] = []
        for (name, tensor) in parameters.tensors() {
            tensors.append(NamedTensor(name, tensor))
            guard name.hasSuffix(".running_var") else { continue }
            let counter = name.dropLast("running_var".count) + "num_batches_tracked"
            tensors.append(
                NamedTensor(String(counter), dataType: .int64, shape: []) { write in
                    // Only PyTorch's cumulative averages, which none of these networks uses, read it.
                    try withUnsafeBytes(of: Int64(0)) { try write($0) }
                })
        }
        try Safetensors.write(
            tensors,
            metadata: ["format": "pt", ModelDescription.key: try description.encoded()],
            to: path)
    }

    /// The network in use after training as an ONNX model.
    ///
    /// - Parameter folded: whether normalizations become part of the convolutions before them, which
    ///   is faster where the runtime does not do it itself.
    public func onnx(folded: Bool) throws -> ONNXModel {
        var graph = try network.graph(batch: 1, mode: .inference)
        if folded { graph = ConvolutionFusion()(graph) }
        graph.removeDeadNodes()
        return try ONNXModel(
            graph, name: network.name,
            metadata: [ModelDescription.key: try description.encoded()],
            weights: parameters.tensor)
    }

    /// How the tensors of the file at `path` compare with those of its own network or, if it holds
    /// nothing but weights, of the one called `model`.
    public static func parity(of path: String, model: String?) throws -> ParityReport {
        let (file, path) = try open(path)
        if file.metadata[ModelDescription.key] != nil || file.metadata[Recipe.checkpointKey] != nil
        {
            let network =
                file.metadata[ModelDescription.key] == nil
                ? try Checkpoint.recipe(file, path).network
                : try ModelDescription(file, path).network
            let averaged = file.names.contains { $0.hasPrefix("ema.") }
            let weights = file.tensors.filter {
                $0.name.hasPrefix("ema.") == averaged && !$0.name.hasPrefix("optimizer.")
            }.map { (String($0.name.dropFirst(averaged ? 4 : 0)), $0.tensor) }
            return ParityReport(
                network: try network.graph(batch: 1, mode: .inference).storedShapes,
                file: TensorFile(tensors: weights))
        }
        guard let model else {
            throw TrainingError(
                "\(path) holds weights alone; say which network they are of with --model")
        }
        var network = try Models.named(model)
        var graph = try network.graph(batch: 1, mode: .inference)
        let translated = EfficientNetNames.translate(file, for: graph.parameters.map(\.name))
        // As many classes as the file has: a head of another data set is no difference.
        if let head = graph.parameters.last(where: { $0.role == .weight }),
            let shape = translated[head.name]?.shape, shape.rank == 2,
            (1...1_000_000).contains(shape[0])
        {
            network = try Models.named(model, classes: shape[0])
            graph = try network.graph(batch: 1, mode: .inference)
        }
        return ParityReport(network: graph.storedShapes, file: translated)
    }
}

extension Graph {
    /// Parameters and buffers by name.
    var storedShapes: [(name: String, shape: Shape)] {
        parameters.map { ($0.name, $0.shape) } + buffers.map { ($0.name, $0.shape) }
    }
}
