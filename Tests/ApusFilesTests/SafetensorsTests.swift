import ApusFiles
import ApusTensor
import Foundation
import Testing

@Suite struct SafetensorsTests {
    @Test func roundTripKeepsOrderBytesAndMetadata() throws {
        let folder = try Folder()
        let path = folder.file("a.safetensors")
        let weight = Tensor([2, 3], [1, -2, 3.5, 0, .infinity, 0x1p-140])
        let tensors = [
            NamedTensor("bytes", [1, 2, 255] as [UInt8]),
            NamedTensor("weight", weight),
            NamedTensor("counts", [-1, .max] as [Int64]),
            NamedTensor("empty", Tensor([0, 4])),
            NamedTensor("scal\"ar\n\u{e9}", Tensor([], [7])),
        ]
        let metadata = ["format": "pt", "note": "tab\t \u{1F600} \\"]
        try Safetensors.write(tensors, metadata: metadata, to: path)
        let file = try Safetensors.read(path)
        #expect(file.names == tensors.map(\.name))
        #expect(file.metadata == metadata)
        #expect(file["weight"]?.tensor() == weight)
        #expect(file["bytes"]?.bytes.elementsEqual([1, 2, 255]) == true)
        #expect(file["counts"]?.integers() == [-1, .max])
        #expect(file["empty"]?.shape == [0, 4])
        #expect(file["scal\"ar\n\u{e9}"]?.tensor() == Tensor([], [7]))
        #expect(file["missing"] == nil)
        #expect(try folder.names == ["a.safetensors"])

        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(bytes == (try Safetensors.encode(tensors, metadata: metadata)))
        #expect(bytes[0].isMultiple(of: 8))
        let again = file.tensors.map { NamedTensor($0.name, $0.tensor) }
        #expect(try Safetensors.encode(again, metadata: file.metadata) == bytes)
    }

    @Test func plainTensorsAreWritten() throws {
        let folder = try Folder()
        let path = folder.file("b")
        try Safetensors.write(tensors: [("x", Tensor([2], [1, 2]))], to: path)
        #expect(try WeightsFile.read(path)["x"]?.floats() == [1, 2])
    }

    @Test func elementsOfEveryTypeConvert() {
        func floats(_ type: DataType, _ bytes: [UInt8]) -> [Float] {
            StoredTensor(
                dataType: type, shape: [bytes.count / type.byteCount], bytes: Data(bytes)
            ).floats()
        }
        #expect(floats(.float64, (-2.5).bitPattern.bytes) == [-2.5])
        #expect(floats(.int64, Int64(-3).bytes) == [-3])
        #expect(floats(.int32, Int32(-3).bytes) == [-3])
        #expect(floats(.int16, Int16(-3).bytes) == [-3])
        #expect(floats(.int8, [0xFD]) == [-3])
        #expect(floats(.uint8, [0xFD]) == [253])
        #expect(floats(.bool, [0, 1]) == [0, 1])
        #expect(floats(.bfloat16, [0x80, 0x3F, 0x00, 0xC0]) == [1, -2])
        let halves: [UInt16] = [0x3C00, 0xC000, 0x0001, 0x8400, 0x7BFF, 0x7C00, 0x03FF]
        #expect(
            floats(.float16, halves.flatMap(\.bytes))
                == [1, -2, 0x1p-24, -0x1p-14, 65504, .infinity, 0x3FFp-24])
        #expect(floats(.float16, [0x00, 0x7E])[0].isNaN)
    }

    @Test func elementsMayBeProvidedInPieces() throws {
        let tensor = NamedTensor("x", dataType: .uint8, shape: [4]) { write in
            try [UInt8]([1, 2]).withUnsafeBytes { try write($0) }
            try [UInt8]([3, 4]).withUnsafeBytes { try write($0) }
        }
        #expect(try Safetensors.encode([tensor]).suffix(4).elementsEqual([1, 2, 3, 4]))
        let short = NamedTensor("x", dataType: .uint8, shape: [4]) { _ in }
        #expect(
            message { _ = try Safetensors.encode([short]) }
                .contains("`x` provides 0 bytes instead of 4"))
    }

    @Test func duplicateNamesAreNotWritten() {
        let tensor = NamedTensor("x", Tensor([1]))
        #expect(message { _ = try Safetensors.encode([tensor, tensor]) }.contains("two entries"))
        let reserved = NamedTensor("__metadata__", Tensor([1]))
        #expect(message { _ = try Safetensors.encode([reserved]) }.contains("two entries"))
    }

    @Test func mutatedFilesNeverCrash() throws {
        let tensors = [
            NamedTensor("a.weight", Tensor([2, 3])), NamedTensor("b", [1, 2] as [Int64]),
            NamedTensor("c", [3] as [UInt8]),
        ]
        let data = try Safetensors.encode(tensors, metadata: ["k": "v"])
        try survivesMutation(of: data, seed: 1, count: 600) {
            try Safetensors.decode($0, path: "mutated")
        }
    }
}
