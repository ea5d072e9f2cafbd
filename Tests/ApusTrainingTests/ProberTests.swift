import ApusData
import ApusFiles
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Synchronization
import Testing

/// Counts how often every image is read, and in which order by kind of source.
final class ReadLog: Sendable {
    let reads = Mutex<[(name: String, index: Int)]>([])
    func count(_ name: String) -> Int { reads.withLock { $0.count { $0.name == name } } }
}

struct CountedSource: ImageSource {
    let source: Squares
    let log: ReadLog
    var count: Int { source.count }
    var classNames: [String] { source.classNames }
    var imageShape: ImageShape? { source.imageShape }
    func label(at index: Int) -> Int { source.label(at: index) }
    func name(of index: Int) -> String { source.name(of: index) }
    func image(at index: Int) throws -> Image {
        log.reads.withLock { $0.append((source.name, index)) }
        return source.image(at: index)
    }
}

@Suite struct ProberTests {
    private let temporary: TemporaryFolder
    private let encoder: FeatureEncoder
    private let log = ReadLog()

    init() throws {
        temporary = try TemporaryFolder()
        try writePretraining(temporary.run("run"))
        encoder = try FeatureEncoder(temporary.run("run").path)
    }

    private func settings(_ fineTune: [Double] = []) -> ProbeSettings {
        var settings = ProbeSettings(data: "squares", threads: 1)
        settings.fineTune = fineTune
        settings.epochs = [3]
        settings.batch = 16
        settings.rates = [0.01, 0.1]
        return settings
    }

    private func prober(_ settings: ProbeSettings, out: String = "out") throws -> Prober {
        try Prober(
            encoder, settings: settings,
            train: CountedSource(source: Squares(count: 300), log: log),
            test: CountedSource(source: Squares(count: 90, name: "test"), log: log),
            folder: temporary.path + "/" + out, configuration: .direct)
    }

    @Test func readsTestImagesOnceAndLast() throws {
        var settings = settings()
        settings.seeds = [0, 1]
        settings.comparesRandom = false
        let report = try prober(settings).run()
        #expect(log.count("train") == 300 && log.count("test") == 90)
        let names = log.reads.withLock { $0.map(\.name) }
        #expect(names.lastIndex(of: "train").map { $0 < names.firstIndex(of: "test") ?? 0 } == true)
        #expect(report.results.map(\.part.method) == [.linear, .linear, .neighbors])
        #expect(report.results.allSatisfy { $0.testImages == 90 && $0.labels == 300 })
        // The bright corner is seen by the random filters of any encoder, but not perfectly.
        #expect(report.results.allSatisfy { $0.accuracy > 1 / 3.0 })
        #expect(report.summaries.map(\.accuracy.values.count) == [2, 1])
    }

    /// Nothing is chosen before the test images are asked for, and then nothing more is.
    @Test func aTestSetOfOtherLabelsChangesNoChoice() throws {
        let honest = try prober(settings()).run()
        var other = Squares(count: 90, name: "other")
        other.side = 12
        let changed = try Prober(
            encoder, settings: settings(), train: Squares(count: 300), test: other,
            folder: temporary.path + "/other", configuration: .direct
        ).run()
        #expect(honest.results.map(\.penalty) == changed.results.map(\.penalty))
        #expect(honest.results.map(\.heldOutAccuracy) == changed.results.map(\.heldOutAccuracy))
    }

    @Test func comparesWithRandomAndScratchUnderTheSameBudget() throws {
        var settings = settings([10, 100])
        settings.seeds = [0, 1]
        settings.linear = false
        let report = try prober(settings).run()
        // Two evaluations of frozen features of each random encoder and of the trained one, one of
        // each of the 2 x 2 x 2 trained networks; trials see no test image.
        #expect(log.count("test") == 90 * (1 + 2 + 8))
        let byMethod = Dictionary(grouping: report.results, by: \.part.method)
        #expect(byMethod[.neighbors]?.count == 3 && byMethod[.linear] == nil)
        let (tuned, scratch) = (byMethod[.fineTuned] ?? [], byMethod[.supervised] ?? [])
        #expect(tuned.count == 4 && scratch.count == 4)
        #expect(tuned.map(\.steps) == scratch.map(\.steps))
        #expect(tuned.map(\.labelsByClass) == scratch.map(\.labelsByClass))
        #expect(tuned.first?.labelsByClass == [10, 10, 10])
        #expect(report.trials.count == 8)
        let lines = report.summaries
        #expect(lines.count == 2 + 4)
        for line in lines where line.method == .fineTuned {
            let gain = try #require(line.gain)
            let pairs = zip(
                tuned.filter { $0.part.percent == line.percent },
                scratch.filter { $0.part.percent == line.percent })
            let values = pairs.map { $0.accuracy - $1.accuracy }
            #expect(gain == MeanInterval(values))
        }
        #expect(encoder.parameters.fingerprint == report.fingerprint)
    }

    @Test func goesOnWhereItWasInterrupted() throws {
        var settings = settings([20])
        settings.comparesRandom = false
        let whole = try prober(settings, out: "whole").run()
        // Stops at every chance once more, from the first batch of features to the last step.
        var stops = 0
        var report: ProbeReport?
        while report == nil {
            stops += 1
            var questions = 0
            do {
                report = try prober(settings, out: "parts").run(shouldStop: {
                    questions += 1
                    return questions > stops * 9
                })
            } catch is CancellationError {}
        }
        #expect(stops > 3)
        #expect(report == whole)
        func bytes(_ name: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: "\(temporary.path)/\(name)/results.json"))
        }
        #expect(try bytes("parts") == bytes("whole"))
        // Looked at again, nothing is measured.
        let before = log.reads.withLock { $0.count }
        #expect(try prober(settings, out: "whole").run() == whole)
        #expect(log.reads.withLock { $0.count } == before)
    }

    @Test func refusesResultsOfAnotherProbe() throws {
        _ = try prober(settings()).run()
        var other = settings()
        other.batch = 8
        #expect(message { _ = try prober(other) }.contains("another batch"))
        var weight = try #require(encoder.parameters.tensor("conv.weight"))
        weight.elements[0] += 1
        try encoder.parameters.set("conv.weight", weight)
        #expect(message { _ = try prober(settings()) }.contains("another encoder"))
        try Data("{".utf8).write(to: URL(fileURLWithPath: temporary.path + "/out/results.json"))
        #expect(message { _ = try prober(settings()) }.contains("not a report"))
    }

    @Test func refusesDataWithoutLabelsAndOtherClasses() throws {
        var one = Squares(count: 10)
        one.classNames = ["image"]
        #expect(
            message {
                _ = try Prober(
                    encoder, settings: settings(), train: one, test: one,
                    folder: temporary.path + "/out")
            }.contains("one class"))
        #expect(
            message {
                _ = try Prober(
                    encoder, settings: settings(), train: one, test: Squares(count: 9),
                    folder: temporary.path + "/out")
            }.contains("same classes"))
    }
}

@Suite struct MeanIntervalTests {
    /// By R: t.test(c(1, 2, 4))$conf.int is -1.461 to 6.128.
    @Test func matchesStudentsInterval() throws {
        let interval = MeanInterval([1, 2, 4])
        #expect(abs(interval.mean - 7 / 3.0) < 1e-12)
        #expect(abs(try #require(interval.uncertainty) - 3.7947) < 1e-3)
        #expect(MeanInterval([5]).uncertainty == nil)
        // qt(0.975, 24) is 2.0639.
        let many = MeanInterval((0..<25).map { Double($0 % 2) })
        let deviation = (25.0 / 24 * 0.48 * 0.52).squareRoot()
        #expect(abs(try #require(many.uncertainty) - 2.0639 * deviation / 5) < 1e-4)
    }
}
