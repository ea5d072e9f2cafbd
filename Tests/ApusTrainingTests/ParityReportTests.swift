import ApusFiles
import ApusTensor
import ApusTraining
import Foundation
import Testing

@Suite struct ParityReportTests {
    private func file(_ tensors: [(String, Shape)]) throws -> TensorFile {
        let data = try Safetensors.encode(tensors.map { NamedTensor($0.0, Tensor($0.1)) })
        return try Safetensors.decode(data, path: "f")
    }

    private let network: [(name: String, shape: Shape)] = [
        ("conv1.weight", [4, 3, 3, 3]), ("bn1.weight", [4]), ("fc.weight", [10, 4]),
        ("fc.bias", [10]),
    ]

    @Test func equalNamesAreExact() throws {
        let report = ParityReport(
            network: network,
            file: try file(network.map { ($0.name, $0.shape) } + [("bn1.num_batches_tracked", [])]))
        #expect(report.isExact && report.worstProblem == nil && report.matched.count == 4)
    }

    @Test func bothShapesAreNamed() throws {
        let report = ParityReport(
            network: network,
            file: try file([
                ("conv1.weight", [4, 3, 3, 3]), ("bn1.weight", [4]), ("fc.weight", [100, 4]),
                ("fc.bias", [100]),
            ]))
        #expect(!report.isComplete && report.differing.map(\.name) == ["fc.weight", "fc.bias"])
        #expect(report.differing[0].network == [10, 4] && report.differing[0].file == [100, 4])
        #expect(report.worstProblem == "'fc.weight' is 100x4, the network has 10x4")
        #expect(
            report.summary
                == "2 of 4 tensors match, 2 differ in shape, 0 are missing, 0 of the file are not used"
        )
    }

    /// The nearest name counts, but a name of the same shape before a nearer one of another.
    @Test func candidatesHaveTheSameShape() throws {
        let report = ParityReport(
            network: network,
            file: try file([
                ("conv1.weights", [9]), ("stem.weight", [4, 3, 3, 3]), ("bn1.weight", [4]),
                ("head.weight", [10, 4]), ("fc2.weight", [10, 4]), ("fc.bias", [10]),
            ]))
        #expect(report.missing.map(\.entry.name) == ["conv1.weight", "fc.weight"])
        #expect(report.missing[0].candidates.map(\.name) == ["stem.weight"])
        #expect(report.missing[1].candidates.map(\.name) == ["fc2.weight", "head.weight"])
        #expect(
            report.unused.map(\.entry.name)
                == ["conv1.weights", "stem.weight", "head.weight", "fc2.weight"])
        // Nothing has its shape: the nearest name of any.
        #expect(report.unused[0].candidates.first?.name == "conv1.weight")
        #expect(
            report.worstProblem
                == "has no 'conv1.weight' (4x3x3x3); nearest is 'stem.weight' (4x3x3x3)")
    }

    /// Names come from files of any kind.
    @Test func manyLongNamesAreCompared() throws {
        let stranger = String(repeating: "x", count: 100_000)
        let strangers = (0..<3000).map { ("\($0).\(stranger.prefix($0 == 0 ? 100_000 : 50))", [4]) }
        let clock = ContinuousClock()
        let file = try file(strangers.map { ($0.0, Shape($0.1)) })
        let time = clock.measure {
            let report = ParityReport(network: network, file: file)
            #expect(report.unusedCount == 3000 && report.unused.count == 500)
            #expect(report.missing.count == 4)
        }
        #expect(time < .seconds(5))
    }
}
