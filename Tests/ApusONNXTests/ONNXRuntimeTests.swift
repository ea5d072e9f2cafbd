import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// The files run, where APUS_ONNX_PYTHON names a Python that has ONNX Runtime.
@Suite(
    .enabled(if: ProcessInfo.processInfo.environment["APUS_ONNX_PYTHON"] != nil),
    .serialized)
struct ONNXRuntimeTests {
    private func check(_ network: Network) throws {
        let python = try PythonTool(ProcessInfo.processInfo.environment["APUS_ONNX_PYTHON"])
        let path = NSTemporaryDirectory() + "/apus-\(UUID().uuidString).onnx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let model = try TrainedModel.random(network)
        var configuration = Session.Configuration()
        configuration.threads = 1
        configuration.tunes = false
        for folded in [false, true] {
            try model.onnx(folded: folded).write(to: path)
            let result = try ONNXCheck(
                path, model: model, python: python, configuration: configuration)
            print(network.name, folded, result.largestError)
            #expect(result.passes, "\(network.name): \(result.largestError)")
        }
    }

    @Test(arguments: [
        "resnet18", "resnet50", "resnet20-cifar", "resnet20-b-cifar", "plain20-cifar", "plain18",
        "densenet121", "densenet40-cifar", "densenet-bc100-cifar", "efficientnet-b0",
        "efficientnet-lite0", "efficientnet-lite1", "efficientnet-b0-cifar",
    ])
    func logitsAgree(name: String) throws { try check(Models.named(name)) }

    @Test func everyLayerAgrees() throws { try check(AllLayers.network) }
}
