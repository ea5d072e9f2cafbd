import ApusTensor
import Foundation
import Glibc
import Testing

import ApusFiles

/// Hostile files: 10,000 of them by default, more with APUS_MUTATIONS=1000000.
///
/// Whatever happens to the bytes, there is a result or an error of one line, soon, and what is held
/// is measured against the file's size. Where APUS_MUTATIONS is set, so is the peak of the process,
/// which means something only without other tests: `--filter MutationTests`.
@Suite(.serialized) struct MutationTests {
    private static let asked =
        ProcessInfo.processInfo.environment["APUS_MUTATIONS"].flatMap { Int($0) }
    private static let total = asked ?? 10_000

    /// The files that are mutated: both formats of PyTorch, safetensors, and pickles that call.
    private static func originals() throws -> [(name: String, data: Data)] {
        let names = [
            "kinds-zip.pth", "kinds-legacy.pth", "nested-zip.pth", "nested-legacy.pth",
            "protocol4-zip.pth", "malicious-zip.pth", "malicious-legacy.pth",
        ]
        let tensors = [
            NamedTensor("conv1.weight", Tensor([8, 3, 3, 3], repeating: 0.5)),
            NamedTensor("bn1.weight", Tensor([8], repeating: 1)),
            NamedTensor("bn1.num_batches_tracked", [7 as Int64]),
        ]
        return try names.map { ($0, try fixtureData($0)) }
            + [("safetensors", try Safetensors.encode(tensors, metadata: ["format": "pt"]))]
    }

    @Test func everyMutationIsAnErrorOrHarmless() throws {
        let originals = try Self.originals()
        let clock = ContinuousClock()
        let mapped = "APUS_MUTATION_MARKER"
        setenv(mapped, "untouched", 1)
        var outcomes = (loaded: 0, refused: 0)
        let before = peakResidentBytes()
        for round in 0..<Self.total {
            let (name, data) = originals[round % originals.count]
            let bytes = mutated(data, RandomKey(seed: 11).child(round))
            let time = clock.measure {
                do {
                    let file = try WeightsFile.decode(bytes, path: "mutant")
                    outcomes.loaded += 1
                    #expect(!name.hasPrefix("malicious"), "round \(round) ran a call")
                    checkSizes(file, within: bytes.count, round)
                } catch let error as FileError {
                    outcomes.refused += 1
                    #expect(!error.description.contains("\n") && error.description.count < 2000)
                } catch {
                    Issue.record("\(name), round \(round): not a FileError: \(error)")
                }
            }
            #expect(time < .seconds(1), "\(name), round \(round)")
        }
        #expect(outcomes.loaded + outcomes.refused == Self.total)
        #expect(outcomes.refused > Self.total / 3 && outcomes.loaded > 0, "\(outcomes)")
        #expect(String(cString: getenv(mapped)) == "untouched")
        expectNoGrowth(since: before)
    }

    /// Lengths are what attackers write: every field of the original that could be one becomes huge.
    @Test func declaredLengthsAreNotBelieved() throws {
        let before = peakResidentBytes()
        for (_, data) in try Self.originals() {
            for position in 0..<min(data.count - 8, 700) {
                for length in [UInt64(1) << 40, .max, 1 << 31, 99_999_999] {
                    for size in [4, 8] {
                        var bytes = data
                        for byte in 0..<size {
                            bytes[bytes.startIndex + position + byte] =
                                UInt8(truncatingIfNeeded: length >> UInt64(8 * byte))
                        }
                        if let file = try? WeightsFile.decode(bytes, path: "mutant") {
                            checkSizes(file, within: bytes.count, position)
                        }
                    }
                }
            }
        }
        expectNoGrowth(since: before)
    }

    /// Views may repeat elements, but the reader gathers no more than a few times the file.
    private func checkSizes(_ file: TensorFile, within count: Int, _ round: Int) {
        for (name, tensor) in file.tensors {
            #expect(
                tensor.bytes.count <= 4 * count + 1 << 20,
                "round \(round): \(name) has \(tensor.bytes.count) bytes in a file of \(count)")
            #expect(tensor.floats().count == tensor.shape.count)
        }
    }

    private func mutated(_ data: Data, _ key: RandomKey) -> Data {
        var bytes = [UInt8](data)
        for edit in 0...key.integer(below: 4, at: 0) {
            let draw = key.child(edit)
            // Half of the edits go to the front, where headers and pickles are.
            let reach = draw.integer(below: 2, at: 9) == 0 ? bytes.count : min(bytes.count, 600)
            let position = draw.integer(below: reach, at: 0)
            let byte = UInt8(truncatingIfNeeded: draw.bits(at: 2))
            switch draw.integer(below: 8, at: 1) {
            case 0: bytes[position] = byte
            case 1, 2: bytes[position] ^= 1 << (byte & 7)
            case 3: bytes.remove(at: position)
            case 4: bytes.insert(byte, at: position)
            case 5:
                for offset in position..<min(position + 8, bytes.count) { bytes[offset] = 0xFF }
            case 6:
                // A length of a random magnitude.
                let value = draw.bits(at: 3) >> UInt64(draw.integer(below: 64, at: 4))
                for offset in 0..<min(8, bytes.count - position) {
                    bytes[position + offset] =
                        UInt8(truncatingIfNeeded: value >> UInt64(8 * offset))
                }
            default:
                if draw.integer(below: 4, at: 2) == 0 { bytes.removeSubrange(position...) }
            }
            if bytes.isEmpty { bytes = [0] }
        }
        return Data(bytes)
    }

    /// The files are a few kilobytes: a length that is believed shows at once.
    private func expectNoGrowth(since before: Int) {
        guard Self.asked != nil else { return }
        let growth = peakResidentBytes() - before
        #expect(growth < 64 << 20, "the peak grew by \(growth >> 20) MiB")
    }

    private func peakResidentBytes() -> Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
