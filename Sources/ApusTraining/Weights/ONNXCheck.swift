import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation

/// How ONNX Runtime's results for an exported file compare with the engine's.
public struct ONNXCheck: Hashable, Codable, Sendable {
    /// The largest difference of a logit over the largest logit of its batch.
    public let largestError: Double
    /// The version of ONNX Runtime.
    public let runtime: String
    /// The batches that were compared.
    public let batches: [Int]

    /// What is still rounding.
    public static let tolerance = 1e-4
    public var passes: Bool { largestError <= Self.tolerance }

    /// Runs the file at `path`, made of `model`, on random images in batches of 1 and 3.
    ///
    /// Throws a `TrainingError` that says what is missing where `python` has no ONNX Runtime.
    public init(
        _ path: String, model: TrainedModel, python: PythonTool,
        configuration: Session.Configuration = .init()
    ) throws {
        let folder = try TemporaryFolder()
        batches = [1, 3]
        var largest = 0.0
        for batch in batches {
            let shape = Shape([batch] + model.network.input.dimensions)
            let key = RandomKey(seed: 1).child("onnx").child(batch)
            let images = Tensor(
                shape, (0..<shape.count).map { 4 * key.uniform(at: $0) - 2 })
            let expected = try Evaluator(
                model.network, parameters: model.parameters, batch: batch,
                configuration: configuration
            ).logits(images)
            let found = try Self.run(path, images, folder: folder.path, python: python)
            guard found.count == expected.elements.count else {
                throw TrainingError(
                    "ONNX Runtime gives \(found.count) logits for \(batch) images, the engine "
                        + "\(expected.elements.count); the file is not of this network")
            }
            let scale = expected.elements.reduce(0) { max($0, abs(Double($1))) }
            for (a, b) in zip(found, expected.elements) {
                let error = abs(Double(a) - Double(b)) / max(scale, .leastNormalMagnitude)
                // A comparison with NaN is false: such a result must not pass.
                if !(error <= largest) { largest = error.isNaN ? .infinity : error }
            }
        }
        largestError = largest
        let version = try? String(contentsOfFile: folder.path + "/version", encoding: .utf8)
        runtime = version ?? "unknown"
    }

    /// The exit code of the script where a package is missing.
    private static let missing: Int32 = 3

    private static let script = """
        import sys
        try:
            import numpy, onnxruntime
        except ImportError as error:
            sys.stderr.write(str(error))
            sys.exit(3)
        model, folder, shape = sys.argv[1:]
        images = numpy.fromfile(folder + "/images", dtype="<f4")
        images = images.reshape([int(n) for n in shape.split(",")])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"])
        logits = session.run(["logits"], {"images": images})[0]
        logits.astype("<f4").tofile(folder + "/logits")
        open(folder + "/version", "w").write(onnxruntime.__version__)
        """

    private static func run(
        _ path: String, _ images: Tensor, folder: String, python: PythonTool
    ) throws -> [Float] {
        let data = images.elements.withUnsafeBytes { Data($0) }
        try data.write(to: URL(fileURLWithPath: folder + "/images"))
        let shape = images.shape.dimensions.map(String.init).joined(separator: ",")
        let result = try python.run(["-c", script, path, folder, shape], in: folder)
        guard result.status != missing else {
            throw TrainingError(
                "\(path) was written but not verified: \(python.path) has no ONNX Runtime "
                    + "(\(result.lastError)); install onnxruntime and numpy, or name another Python "
                    + "with --python")
        }
        guard result.status == 0 else {
            throw TrainingError("ONNX Runtime cannot run \(path): \(result.lastError)")
        }
        let logits = try Data(contentsOf: URL(fileURLWithPath: folder + "/logits"))
        return logits.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
            }
        }
    }
}
