import ApusFiles
import ApusTensor
import Foundation
import Testing

/// The fixtures are written by Tests/Fixtures/pth/make.py.
@Suite struct PyTorchTests {
    private func ramp(_ count: Int) -> [Float] { (0..<count).map { Float($0) / 4 - 1 } }

    @Test(arguments: ["kinds-zip.pth", "kinds-legacy.pth"])
    func everyKindOfTensorIsRead(name: String) throws {
        let file = try WeightsFile.read(fixture(name))
        #expect(file.names.first == "float32" && file.names.last == "parameter")
        #expect(file.tensors.count == 16)
        for (kind, type) in [
            ("float64", DataType.float64), ("float32", .float32), ("float16", .float16),
            ("bfloat16", .bfloat16),
        ] {
            #expect(file[kind]?.dataType == type)
            #expect(file[kind]?.tensor() == Tensor([2, 3], ramp(6)))
        }
        #expect(file["int64"]?.integers() == [-1, 0, 1 << 40])
        #expect(file["int32"]?.integers() == [-1, 0, 1 << 20])
        #expect(file["int16"]?.integers() == [-1, 0, 300])
        #expect(file["int8"]?.integers() == [-1, 0, 100])
        #expect(file["uint8"]?.integers() == [1, 0, 200])
        #expect(file["bool"]?.integers() == [1, 0])
        #expect(file["bool"]?.dataType == .bool)
        #expect(file["scalar"]?.shape == [])
        #expect(file["scalar"]?.integers() == [7])
        #expect(file["transposed"]?.tensor() == Tensor([3, 2], [-1, -0.25, -0.75, 0, -0.5, 0.25]))
        #expect(file["sliced"]?.tensor() == Tensor([2, 2], [0, 0.5, 1, 1.5]))
        #expect(file["channels_last"]?.tensor() == Tensor([1, 2, 2, 2], ramp(8)))
        #expect(file["empty"]?.shape == [0, 3])
        #expect(file["parameter"]?.tensor() == Tensor([2], ramp(2)))
    }

    @Test(arguments: ["nested-zip.pth", "nested-legacy.pth", "protocol4-zip.pth"])
    func nestedDictionariesAreFound(name: String) throws {
        let file = try PyTorchCheckpoint.read(fixture(name))
        #expect(file.names == ["conv1.weight", "bn1.running_mean", "bn1.num_batches_tracked"])
        #expect(file["conv1.weight"]?.tensor() == Tensor([2, 1, 3, 3], ramp(18)))
        #expect(file["bn1.num_batches_tracked"]?.integers() == [5])
        #expect(file.metadata == ["epoch": "12", "best": "91.5", "arch": "tiny"])
    }

    @Test(arguments: ["malicious-zip.pth", "malicious-legacy.pth"])
    func callsAreRefused(name: String) {
        let text = message { _ = try WeightsFile.read(fixture(name)) }
        #expect(text.contains("wants to call `posix.system`, which Apus never executes; save only"))
        #expect(text.hasPrefix(fixture(name)))
    }

    @Test func otherPicklesAreNamed() {
        #expect(
            message { _ = try WeightsFile.read(fixture("malicious-plain.pth")) }
                .contains("is a Python pickle, but not a checkpoint"))
        #expect(
            message { _ = try PyTorchCheckpoint.read(fixture("malicious-plain.pth")) }
                .contains("is not a PyTorch checkpoint"))
        #expect(
            message { _ = try WeightsFile.read(fixture("tensor-zip.pth")) }
                .contains("holds no dictionary of tensors"))
        #expect(
            message { _ = try WeightsFile.read(fixture("model-zip.pth")) }
                .contains("wants to call `torch.nn.modules.linear.Linear`"))
    }

    @Test(arguments: ["kinds-zip.pth", "kinds-legacy.pth", "nested-zip.pth", "nested-legacy.pth"])
    func everyTruncationIsAnError(name: String) throws {
        let data = try fixtureData(name)
        for count in stride(from: 0, to: data.count - 1, by: 3) {
            #expect(
                message { _ = try PyTorchCheckpoint.decode(data.prefix(count), path: "f") }
                    .hasPrefix("f "))
        }
    }

    @Test(arguments: ["kinds-zip.pth", "kinds-legacy.pth", "nested-zip.pth", "nested-legacy.pth"])
    func mutatedFilesNeverCrash(name: String) throws {
        try survivesMutation(of: fixtureData(name), seed: 2, count: 500) {
            try PyTorchCheckpoint.decode($0, path: "mutated")
        }
        try survivesMutation(of: fixtureData(name), seed: 3, count: 100) {
            try WeightsFile.decode($0, path: "mutated")
        }
    }
}
