import ApusRuntime
import Foundation
import Testing

@Suite struct TunerTests {
    private let candidates = ["direct", "winograd"]

    private func withFile(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "apus-tuner-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.appending(path: "below/tuner.json"))
    }

    @Test func theFastestIsChosenAndTimedOnce() {
        let tuner = Tuner(machine: "m", file: nil)
        var timed: [String] = []
        for _ in 0..<2 {
            let choice = tuner.choose("p", candidates) {
                timed.append($0)
                return $0 == "winograd" ? 1 : 1.05
            }
            #expect(choice == "winograd")
        }
        #expect(timed == candidates + candidates + candidates)
        #expect(tuner.used == ["p": "winograd"])
    }

    /// The shortest time counts: one that was slowed down is no judgement.
    @Test func theShortestTimeCounts() {
        let tuner = Tuner(machine: "m", file: nil)
        var timed = 0
        let choice = tuner.choose("p", candidates) {
            timed += 1
            return $0 == "winograd" ? [2.2, 1, 4][(timed - 1) / 2] : 2
        }
        #expect(choice == "winograd")
    }

    /// What is far behind is not timed again, but where a first run's cold pages could be the reason.
    @Test(arguments: [
        (1, "abcdabcab"), (1e-4, "abcdabcdabcd"),
    ])
    func whatIsFarBehindIsTimedOnce(_ scale: Double, _ expected: String) {
        let tuner = Tuner(machine: "m", file: nil)
        var timed = ""
        let choice = tuner.choose("p", ["a", "b", "c", "d"]) {
            timed += $0
            let times: [String: Double] = ["a": 1.02, "b": 1, "c": 1.15, "d": 1.3]
            return times[$0].map { $0 * scale }
        }
        #expect(choice == "b")
        #expect(timed == expected)
    }

    /// What could be the fastest comes first; what cannot be faster than another was is not timed, or not again, and that
    /// is a comparison to remember.
    @Test(arguments: [([2, 2, 2], "ababab"), ([2, 1.7, 1.7], "abab"), ([1.5], "a")])
    func whatCannotBeFasterIsNotTimed(_ times: [Double], _ expected: String) throws {
        try withFile { file in
            let tuner = Tuner(machine: "m", file: file)
            let least = ["b": 1.8, "c": 2.2]
            var timed = ""
            let choice = tuner.choose("p", ["c", "b", "a"], leastSeconds: { least[$0] ?? 0 }) {
                timed += $0
                return $0 == "a" ? times[timed.count / 2] : 2.1
            }
            #expect(choice == "a")
            #expect(timed == expected)
            tuner.save()
            let same = Tuner(machine: "m", file: file)
            #expect(same.choose("p", ["c", "b", "a"]) { _ in nil } == "a")
        }
    }

    /// A bound that was measured too long does not rule out what was faster.
    @Test func theFastestStaysWhateverItsBound() {
        let tuner = Tuner(machine: "m", file: nil)
        let choice = tuner.choose("p", candidates, leastSeconds: { $0 == "direct" ? 1.5 : 0 }) {
            $0 == "direct" ? 1 : 2
        }
        #expect(choice == "direct")
    }

    @Test func whatLeavesOneIsNoLongerTimed() throws {
        try withFile { file in
            let tuner = Tuner(machine: "m", file: file)
            var timed = 0
            let choice = tuner.choose("p", candidates) {
                timed += 1
                return $0 == "winograd" ? 1 : 2
            }
            #expect(choice == "winograd")
            #expect(timed == 2)
            tuner.save()
            let same = Tuner(machine: "m", file: file)
            _ = same.choose("p", candidates) { _ in
                Issue.record("what was compared once was timed again")
                return 1
            }
        }
    }

    @Test func candidatesThatCannotRunAreLeftOut() {
        let tuner = Tuner(machine: "m", file: nil)
        #expect(tuner.choose("p", candidates) { $0 == "winograd" ? nil : 2 } == "direct")
        #expect(tuner.choose("q", candidates) { _ in nil } == nil)
        #expect(tuner.used == ["p": "direct"])
    }

    /// What had no choice is in a checkpoint, too, and costs no time.
    @Test func aSingleCandidateIsNotedUntimed() {
        let tuner = Tuner(machine: "m", file: nil)
        let choice = tuner.choose("p", ["direct"]) { _ in
            Issue.record("a single candidate was timed")
            return 1
        }
        #expect(choice == "direct")
        #expect(tuner.used == ["p": "direct"])
    }

    @Test func givenChoicesAreNotQuestioned() throws {
        try withFile { file in
            let other = Tuner(machine: "m", file: file)
            _ = other.choose("p", candidates) { $0 == "direct" ? 1 : 2 }
            other.save()
            let tuner = Tuner(machine: "m", given: ["p": "winograd"], file: file)
            let choice = tuner.choose("p", candidates) { _ in
                Issue.record("a given choice was timed")
                return 1
            }
            #expect(choice == "winograd")
            #expect(tuner.used == ["p": "winograd"])
        }
    }

    /// Small problems take the most exact algorithm, whatever an older cache says.
    @Test func whatIsNotWorthTimingTakesTheFirst() throws {
        try withFile { file in
            let other = Tuner(machine: "m", file: file)
            _ = other.choose("p", candidates) { $0 == "winograd" ? 1 : 2 }
            other.save()
            let tuner = Tuner(machine: "m", file: file)
            let choice = tuner.choose("p", candidates, isWorthTiming: false) { _ in
                Issue.record("a small problem was timed")
                return 1
            }
            #expect(choice == "direct")
        }
    }

    @Test func withoutTuningTheFirstIsTaken() {
        let tuner = Tuner(machine: "m", given: ["q": "winograd"], file: nil, tunes: false)
        for (problem, expected) in [("p", "direct"), ("q", "winograd")] {
            let choice = tuner.choose(problem, candidates) { _ in
                Issue.record("a candidate was timed")
                return 1
            }
            #expect(choice == expected)
        }
        #expect(tuner.used == ["p": "direct", "q": "winograd"])
    }

    @Test func aGivenChoiceThatIsNoCandidateIsReplaced() {
        let tuner = Tuner(machine: "m", given: ["p": "fourier"], file: nil)
        #expect(tuner.choose("p", candidates) { $0 == "direct" ? 1 : 2 } == "direct")
    }

    /// Else the file would grow with every version, and every session reads it.
    @Test func choicesOfOlderKernelsAreDropped() throws {
        try withFile { file in
            let others = [
                "oneDNN 1, kernels 3, x: p": "direct", "oneDNN 1, kernels 99999, x: p": "a",
            ]
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try JSONEncoder().encode(others).write(to: file)
            let tuner = Tuner(machine: "m", file: file)
            _ = tuner.choose("p", candidates) { $0 == "direct" ? 1 : 2 }
            tuner.save()
            let kept = try JSONDecoder().decode(
                [String: String].self, from: Data(contentsOf: file))
            #expect(kept == ["oneDNN 1, kernels 99999, x: p": "a", "m p": "direct"])
        }
    }

    @Test func theCacheBelongsToOneMachine() throws {
        try withFile { file in
            let first = Tuner(machine: "a", file: file)
            _ = first.choose("p", candidates) { $0 == "winograd" ? 1 : 2 }
            first.save()

            let same = Tuner(machine: "a", file: file)
            let known = same.choose("p", candidates) { _ in
                Issue.record("a cached choice was timed")
                return 1
            }
            #expect(known == "winograd")
            #expect(same.used == ["p": "winograd"])

            let other = Tuner(machine: "b", file: file)
            #expect(other.choose("p", candidates) { $0 == "direct" ? 1 : 2 } == "direct")
            other.save()
            // What one machine adds takes nothing from the other.
            let again = Tuner(machine: "a", file: file)
            #expect(again.choose("p", candidates) { _ in nil } == "winograd")
        }
    }

    @Test(arguments: ["", "{", "[1, 2]", "{\"m p\": 3}", "\u{0}\u{1}"])
    func aCorruptCacheIsMeasuredAgain(content: String) throws {
        try withFile { file in
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(content.utf8).write(to: file)
            let tuner = Tuner(machine: "m", file: file)
            #expect(tuner.choose("p", candidates) { $0 == "winograd" ? 1 : 2 } == "winograd")
            tuner.save()
            let next = Tuner(machine: "m", file: file)
            #expect(next.choose("p", candidates) { _ in nil } == "winograd")
        }
    }

    @Test func aCacheThatCannotBeWrittenIsNoError() {
        let tuner = Tuner(machine: "m", file: URL(fileURLWithPath: "/dev/null/below/tuner.json"))
        #expect(tuner.choose("p", candidates) { _ in 1 } == "direct")
        tuner.save()
    }
}
