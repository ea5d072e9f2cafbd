import ApusTensor
import Foundation
import Testing

import ApusFiles

/// A fresh directory, removed with the object.
final class Folder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/apus-files-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: path) }
    }
}

/// The path of a fixture of Tests/Fixtures/pth.
func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/pth/\(name)").path
}

func fixtureData(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: fixture(name)))
}

/// The message of the `FileError` that `body` must throw.
func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch let error as FileError {
        return error.description
    } catch {
        return "not a FileError: \(error)"
    }
}

extension FixedWidthInteger {
    var bytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}

/// Decodes `data` after `count` random mutations; all that may happen is a result or a `FileError`,
/// and soon.
func survivesMutation(
    of data: Data, seed: UInt64, count: Int, decode: (Data) throws -> TensorFile
) throws {
    let key = RandomKey(seed: seed)
    let clock = ContinuousClock()
    for round in 0..<count {
        let random = key.child(round)
        var bytes = [UInt8](data)
        for edit in 0...random.integer(below: 4, at: 0) {
            let draw = random.child(edit)
            let position = draw.integer(below: bytes.count, at: 0)
            switch draw.integer(below: 6, at: 1) {
            case 0: bytes[position] = UInt8(truncatingIfNeeded: draw.bits(at: 2))
            case 1: bytes[position] ^= 1 << UInt8(draw.integer(below: 8, at: 2))
            case 2: bytes.remove(at: position)
            case 3: bytes.insert(UInt8(truncatingIfNeeded: draw.bits(at: 2)), at: position)
            case 4: bytes[position] = 0xFF
            default:
                if draw.integer(below: 4, at: 2) == 0 { bytes.removeSubrange(position...) }
            }
            if bytes.isEmpty { bytes = [0] }
        }
        let time = try clock.measure {
            do {
                for (_, tensor) in try decode(Data(bytes)).tensors {
                    #expect(tensor.floats().count == tensor.shape.count)
                }
            } catch let error as FileError {
                #expect(!error.description.contains("\n"))
            }
        }
        #expect(time < .seconds(1), "mutation \(round)")
    }
}
