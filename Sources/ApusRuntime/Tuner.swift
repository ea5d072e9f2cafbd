import ApusTensor
import CKernels
import Foundation

/// Remembers which algorithm is the fastest for each convolution problem.
///
/// Choices come, in this order, from the caller (a checkpoint, so that a resumed run computes the
/// same bits), from the cache file, and from timing. The cache belongs to one library version, CPU
/// and number of threads.
package final class Tuner {
    /// The version of our own kernels: timings of others say nothing about these.
    static let kernels = 18

    /// Choices of this session by problem, to store with a checkpoint.
    package private(set) var used: [String: String] = [:]
    /// Runs once, before anything is timed.
    var beforeFirstTiming: () -> Void = {}
    /// Choices that are not questioned, by problem.
    let given: [String: String]
    private let tunes: Bool
    private var cached: [String: String]
    private let file: URL?
    private let machine: String
    private var isChanged = false
    /// What fills the caches, and scratch memory of what is timed; given back with the tuner.
    private var evicting: Arena?
    private var scratch: Arena?
    /// Billions of multiplies and adds a second at most.
    private var peaks: [DataType: Double] = [:]

    /// - Parameters:
    ///   - machine: library version, CPU and threads: what timings depend on
    ///   - given: choices by problem
    ///   - file: the cache file; nil for none
    ///   - tunes: whether to time what is new; else the first candidate is taken
    package init(machine: String, given: [String: String] = [:], file: URL?, tunes: Bool = true) {
        self.tunes = tunes
        self.machine = machine
        self.given = given
        self.file = file
        cached = file.flatMap(Tuner.read) ?? [:]
    }

    /// `$XDG_CACHE_HOME/apus/tuner.json`, by default below `~/.cache`.
    package static var cacheFile: URL? {
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0) }
            ?? environment["HOME"].map { URL(fileURLWithPath: $0).appending(path: ".cache") }
        return base?.appending(path: "apus/tuner.json")
    }

    /// A cache that cannot be read is measured again: it holds nothing that cannot be had anew.
    fileprivate static func read(_ file: URL) -> [String: String]? {
        guard let data = try? Data(contentsOf: file) else { return nil }
        return try? JSONDecoder().decode([String: String].self, from: data)
    }

    /// What is timed again, after each round but the last: what takes at most so many times as long as the best.
    private static let margins = [1.2, 1.05]

    /// Seconds of the best below which all are timed again: a moment's noise could be all of the difference.
    private static let shortest = 5e-3

    /// The choice for `problem` among `candidates`, timing them with `seconds` if it is new: in turn, so that what
    /// slows the machine down for a while meets all of them, those that are far behind only once, and those that cannot
    /// be faster than another was, by `leastSeconds`, not at all. `seconds` returns nil for a candidate that cannot be
    /// used. What is not worth timing, or has no choice, gets the first candidate.
    package func choose(
        _ problem: String, _ candidates: [String], isWorthTiming: Bool = true,
        leastSeconds: (String) -> Double = { _ in 0 }, seconds: (String) -> Double?
    ) -> String? {
        let key = machine + " " + problem
        let remembered = isWorthTiming ? cached[key] : nil
        if let known = given[problem] ?? used[problem] ?? remembered, candidates.contains(known) {
            used[problem] = known
            return known
        }
        guard tunes, isWorthTiming, candidates.count > 1 else {
            used[problem] = candidates.first
            return candidates.first
        }
        beforeFirstTiming()
        beforeFirstTiming = {}
        var timed: [(name: String, least: Double, shortest: Double)] = []
        var best = Double.infinity
        var isComparison = false
        let inOrder = candidates.map { (name: $0, least: leastSeconds($0)) }.sorted {
            $0.least < $1.least
        }
        for (name, least) in inOrder {
            if least < best {
                guard let time = seconds(name) else { continue }
                timed.append((name, least, time))
            }
            isComparison = best < .infinity
            best = timed.map(\.shortest).min() ?? .infinity
        }
        for margin in Tuner.margins {
            timed.removeAll {
                let isFarBehind = best >= Tuner.shortest && $0.shortest > margin * best
                return isFarBehind || $0.shortest > best && $0.least >= best
            }
            if timed.count == 1 { break }
            for i in timed.indices {
                timed[i].shortest = min(timed[i].shortest, seconds(timed[i].name) ?? .infinity)
            }
            best = timed.map(\.shortest).min() ?? .infinity
        }
        guard let choice = timed.first(where: { $0.shortest == best })?.name else { return nil }
        used[problem] = choice
        // A single candidate was not compared with anything: nothing to remember.
        if isComparison {
            cached[key] = choice
            isChanged = true
        }
        return choice
    }

    /// How many billions of multiplies and adds a second the team does at most. Measured for some milliseconds with every
    /// problem, as other work on the machine can slow all of one measurement down: what would look like a peak then is none.
    func peak(_ type: DataType, _ team: Team) -> Double {
        let peak = max(
            peaks[type] ?? 0, MachineSpeed.peak(type, team, tries: 4, longest: 1e-3))
        peaks[type] = peak
        return peak
    }

    /// Fills the caches with something else. In use a network's weights come from memory: with a batch
    /// of one an algorithm is judged by how much it reads, which timings of one layer alone would hide.
    func evictCaches(_ team: Team) {
        let size = 1 << 24
        let other = evicting ?? Arena(count: size)
        evicting = other
        team.splitArray(size) { begin, end in
            apus_multiply(apus_float32, other.base, 1, other.base, begin, end)
        }
    }

    /// Scratch memory of so many floats at least for what is timed. It is written to beforehand: new pages would take as
    /// long as some of it.
    func scratch(_ count: Int, _ team: Team) -> Arena {
        if let scratch, scratch.count >= count { return scratch }
        let larger = Arena(count: count)
        team.clear(larger)
        scratch = larger
        return larger
    }

    /// Takes back a choice that cannot be used here.
    package func replace(_ problem: String, by choice: String) { used[problem] = choice }

    /// Whether a choice was made among kernels of before, which are not asked for again.
    private static func isOutdated(_ key: String) -> Bool {
        guard let version = key.firstRange(of: "kernels ")?.upperBound else { return false }
        return Int(key[version...].prefix(while: \.isNumber)).map { $0 < kernels } ?? false
    }

    /// Writes new timings to the cache file, beside those another process may have added, without those of older
    /// kernels: every session reads all of it. Failing to is no error: the timings are made again next time.
    package func save() {
        guard isChanged, let file else { return }
        let merged = (Tuner.read(file) ?? [:]).merging(cached) { _, new in new }
            .filter { !Tuner.isOutdated($0.key) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        guard let data = try? encoder.encode(merged) else { return }
        try? FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try? data.write(to: file, options: .atomic)
        isChanged = false
    }
}

/// The file in which timings of algorithms are kept between runs.
public enum TunerCache {
    /// Where it is; nil where there is no home folder.
    public static var path: String? { Tuner.cacheFile?.path }

    /// How many choices it holds, those of other machines among them; nil if there is none.
    public static var entries: Int? { Tuner.cacheFile.flatMap(Tuner.read)?.count }
}
