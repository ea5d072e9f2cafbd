import ApusTensor
import Foundation
import Testing

import ApusFiles

/// Hand-made legacy checkpoints, whose object pickle and storages each test spells out.
@Suite struct PickleTests {
    private static let magic: [UInt8] = [
        0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]

    private func text(_ text: String) -> [UInt8] {
        [0x58] + UInt32(text.utf8.count).bytes + Array(text.utf8)
    }

    private func int(_ value: Int64) -> [UInt8] { [0x8A, 8] + value.bytes }

    private func tuple(_ values: [Int64]) -> [UInt8] { [0x28] + values.flatMap(int) + [0x74] }

    private func global(_ name: String) -> [UInt8] {
        let dot = name.lastIndex(of: ".") ?? name.startIndex
        return [0x63] + Array(name[..<dot].utf8) + [10] + Array(name[dot...].dropFirst().utf8) + [
            10
        ]
    }

    private func storage(count: Int64) -> [UInt8] {
        [0x28] + text("storage") + global("torch.FloatStorage") + text("0") + text("cpu")
            + int(count) + [0x4E, 0x74, 0x51]
    }

    private func tensor(
        offset: Int64 = 0, sizes: [Int64], strides: [Int64], count: Int64 = 4
    ) -> [UInt8] {
        global("torch._utils._rebuild_tensor_v2") + [0x28] + storage(count: count) + int(offset)
            + tuple(sizes) + tuple(strides) + [0x89, 0x7D, 0x74, 0x52]
    }

    /// A file without storages.
    private func file(_ object: [UInt8], littleEndian: UInt8 = 0x88) -> Data {
        Data(head(object, littleEndian: littleEndian) + [0x80, 2, 0x5D, 0x2E])
    }

    private func head(_ object: [UInt8], littleEndian: UInt8 = 0x88) -> [UInt8] {
        var bytes = Self.magic + [0x80, 2, 0x4D, 0xE9, 0x03, 0x2E]
        bytes += [0x80, 2, 0x7D] + text("little_endian") + [littleEndian, 0x73, 0x2E]
        return bytes + [0x80, 2] + object + [0x2E]
    }

    /// A file with the storage "0" of the floats 1, 2, 3 and 4.
    private func file(storing object: [UInt8], count stored: Int64 = 4) -> Data {
        var bytes = head(object) + [0x80, 2, 0x5D] + text("0") + [0x61, 0x2E]
        bytes += stored.bytes + [Float](arrayLiteral: 1, 2, 3, 4).flatMap { $0.bitPattern.bytes }
        return Data(bytes)
    }

    private func file(tensor: [UInt8], stored: Int64 = 4) -> Data {
        file(storing: [0x7D] + text("x") + tensor + [0x73], count: stored)
    }

    private func error(_ data: Data) -> String {
        message { _ = try PyTorchCheckpoint.decode(data, path: "f") }
    }

    @Test func stridesAreRespected() throws {
        let data = file(tensor: tensor(offset: 1, sizes: [2, 2], strides: [1, 1]))
        let read = try PyTorchCheckpoint.decode(data, path: "f")
        #expect(read["x"]?.tensor() == Tensor([2, 2], [2, 3, 3, 4]))
        let single = file(tensor: tensor(offset: 3, sizes: [1, 1], strides: [.max, .max]))
        #expect(try PyTorchCheckpoint.decode(single, path: "f")["x"]?.floats() == [4])
        let wrapping = file(tensor: tensor(sizes: [1, 2], strides: [.max, 2]))
        #expect(try PyTorchCheckpoint.decode(wrapping, path: "f")["x"]?.floats() == [1, 3])
    }

    @Test func windowsStayInTheirStorage() {
        let faults: [([UInt8], String)] = [
            (tensor(sizes: [5], strides: [1]), "reaches beyond its storage of 4 elements"),
            (tensor(offset: 1, sizes: [4], strides: [1]), "reaches beyond"),
            (tensor(offset: .max, sizes: [2], strides: [1]), "reaches beyond"),
            (tensor(offset: 4, sizes: [], strides: []), "reaches beyond"),
            (tensor(sizes: [2, 2], strides: [.max, .max]), "reaches beyond"),
            (tensor(sizes: [1 << 40, 1 << 40], strides: [0, 0]), "beyond 64 bits"),
            (tensor(sizes: [0, 1 << 40, 1 << 40], strides: [0, 0, 0]), "beyond 64 bits"),
            (tensor(sizes: [1 << 40], strides: [0]), "far larger than the file"),
            (tensor(sizes: [-1], strides: [1]), "without a proper shape"),
            (tensor(sizes: [1], strides: [-1]), "without a proper shape"),
            (tensor(offset: -1, sizes: [1], strides: [1]), "malformed tensor"),
            (tensor(sizes: [1], strides: [1, 1]), "1 sizes and 2 strides"),
            (tensor(sizes: [1], strides: [1], count: -4), "else than a storage"),
            (tensor(sizes: [1], strides: [1], count: 3), "of 4 instead of 3 elements"),
        ]
        for (tensor, expected) in faults {
            let text = error(file(tensor: tensor))
            #expect(text.contains(expected), "\(text)")
        }
        let huge = tensor(sizes: [1], strides: [1], count: 1 << 40)
        #expect(error(file(tensor: huge, stored: 1 << 40)).contains("truncated"))
        let most = tensor(sizes: [1], strides: [1], count: .max)
        #expect(error(file(tensor: most, stored: .max)).contains("truncated"))
        let extra = file(tensor: tensor(sizes: [4], strides: [1])) + Data([0])
        #expect(error(extra).contains("1 byte after its last storage"))
    }

    @Test func instructionsAreRefusedByName() {
        let faults: [([UInt8], String)] = [
            ([0x81], "instruction NEWOBJ, which Apus never executes"), ([0x69], "INST"),
            ([0x82, 1], "EXT1"), ([0x50], "PERSID"), ([0x00], "0x0"),
            (global("os.system"), "wants to call `os.system`, which Apus never executes"),
            (text("builtins") + text("eval") + [0x93], "`builtins.eval`"),
            (global("torch.FloatStorage") + [0x29, 0x52], "calls a storage type"),
            ([0x4E, 0x29, 0x52], "calls something that is no function"),
            ([0x4E, 0x7D, 0x62], "sets the state"), ([0x30], "takes more from its stack"),
            ([0x7D, 0x28, 0x30], "takes more from its stack"), ([0x74], "takes more"),
            ([0x68, 9], "recalls what it never stored"),
            ([0x7D, 0x4E, 0x61], "appends to no list"),
            ([0x5D, 0x28, 0x4E, 0x75], "sets items of no dictionary"), ([0x80, 9], "protocol"),
            ([0x58, 0xFF, 0xFF, 0xFF, 0xFF], "truncated"), ([0x4E, 0x51], "else than a storage"),
            ([0x58, 1, 0, 0, 0, 0xFF], "not UTF-8"), ([0x7D], "no dictionary of tensors"),
            ([0x8D] + UInt64.max.bytes, "size 18446744073709551615"),
        ]
        for (object, expected) in faults {
            let text = error(file(object))
            #expect(text.contains(expected), "\(text)")
        }
        #expect(error(file([0x7D], littleEndian: 0x89)).contains("big-endian"))
    }

    @Test func deepNestingIsHarmless() {
        let depth = 1_000_000
        let lists =
            [UInt8](repeating: 0x5D, count: depth) + [UInt8](repeating: 0x61, count: depth - 1)
        #expect(error(file(lists)).contains("no dictionary of tensors"))
        let tuples = [0x29] + [UInt8](repeating: 0x85, count: depth)
        #expect(error(file(tuples)).contains("no dictionary of tensors"))
        let marks = [UInt8](repeating: 0x28, count: depth)
        #expect(error(file(marks)).contains("takes more"))
        // d = {}; d["a"] = d
        let cycle: [UInt8] = [0x7D, 0x71, 0] + text("a") + [0x68, 0, 0x73]
        #expect(error(file(cycle)).contains("no dictionary of tensors"))
    }

    @Test func listsAreNotCopiedWithoutBound() {
        // One list of many pairs, made into a dictionary again and again.
        var object: [UInt8] = [0x5D, 0x71, 0, 0x28]
        for _ in 0..<10_000 { object += [0x4E, 0x4E, 0x86] }
        object += [0x65]
        for _ in 0..<10_000 {
            object += global("collections.OrderedDict") + [0x68, 0, 0x85, 0x52]
        }
        #expect(error(file(object)).contains("copies one list too often"))
    }

    @Test func twoTensorsOfOneNameAreAnError() {
        let item = text("x") + tensor(sizes: [1], strides: [1])
        #expect(error(file(storing: [0x7D, 0x28] + item + item + [0x75])).contains("`x` twice"))
    }
}
