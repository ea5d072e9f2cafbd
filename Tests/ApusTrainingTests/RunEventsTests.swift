import ApusFiles
import ApusTraining
import Foundation
import Testing

@Suite("Events of runs")
struct RunEventsTests {
    @Test("A resumed run writes no event twice and leaves none out")
    func resumed() throws {
        let folder = try TemporaryFolder()
        func steps(_ run: RunFolder) -> [Int] {
            EventFile.records(
                [UInt8](FileManager.default.contents(atPath: run.eventsPath) ?? Data())
            ).compactMap { EventRecord.step(of: $0) }
        }
        func trainer(_ run: RunFolder) throws -> Trainer {
            try Trainer(
                tinyRecipe(), folder: run, train: Squares(count: 192),
                test: Squares(count: 48, name: "test"), configuration: .direct)
        }
        let whole = folder.run("whole")
        _ = try trainer(whole).run()
        // The version, the images, and after every epoch metrics, three weights and the test.
        #expect(steps(whole) == [0, 0] + [6, 12, 18].flatMap { [Int](repeating: $0, count: 5) })

        let resumed = folder.run("resumed")
        var asked = 0
        let outcome = try trainer(resumed).run(shouldStop: {
            asked += 1
            return asked == 8
        })
        #expect(outcome == .interrupted)
        _ = try trainer(resumed).run()
        #expect(steps(resumed) == steps(whole))
        let metrics = try String(contentsOfFile: resumed.metricsPath, encoding: .utf8)
        #expect(metrics.contains("\"gradientNorm\":"))
    }
}
