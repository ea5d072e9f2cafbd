import ApusFiles
import ApusReport
import ApusRuntime
import Foundation

/// The experiments, and how one is run: `Lab.run` judges the findings by the criteria that were written
/// down before, and leaves a page.
public enum Lab {
    /// All experiments, by name.
    public static var experiments: [any Experiment] { listed.sorted { $0.name < $1.name } }

    /// The experiment called `name`. Throws a `LabError` that lists all.
    public static func experiment(_ name: String) throws -> any Experiment {
        guard let found = experiments.first(where: { $0.name == name }) else {
            throw LabError(
                "there is no experiment '\(name)'; there are "
                    + experiments.map(\.name).joined(separator: ", "))
        }
        return found
    }

    /// Runs an experiment, or finishes one that was interrupted, into `options.out/NAME`.
    public static func run(
        _ experiment: any Experiment, _ options: LabOptions, data: LabData? = nil,
        shouldStop: @escaping () -> Bool = { false }, report: @escaping (String) -> Void = { _ in }
    ) throws -> LabResult {
        let folder = LabFolder(path: "\(options.out)/\(experiment.name)")
        try folder.create()
        let minutes = options.minutes ?? experiment.minutes
        let context = LabContext(
            options, minutes: minutes, folder: folder, data: data, shouldStop: shouldStop,
            report: report)
        let clock = ContinuousClock()
        let start = clock.now
        var findings = try experiment.run(context)
        findings.draw(context.networks)
        var result = LabResult(
            experiment, findings, options, minutes: minutes, plans: context.plans)
        // A rerun that looked everything up says how long the work took when it was done.
        let before = try? LabFolder.read(LabResult.self, folder.resultsPath)
        result.seconds = (clock.now - start) / .seconds(1)
        if let before, before.matches(result) {
            result.seconds = max(before.seconds, result.seconds)
        }
        let text = try LabFolder.encoder.encode(result)
        try AtomicFile.write(to: folder.resultsPath) { try $0.write(text) }
        try writePage(result, folder)
        return result
    }

    /// Makes the page again from `results.json`, without running anything.
    public static func rebuild(_ name: String, out: String) throws -> LabResult {
        let folder = LabFolder(path: "\(out)/\(name)")
        guard FileManager.default.fileExists(atPath: folder.resultsPath) else {
            throw LabError("\(folder.resultsPath) does not exist; run `apus lab \(name)` first")
        }
        let result = try LabFolder.read(LabResult.self, folder.resultsPath)
        try writePage(result, folder)
        return result
    }

    /// Makes the page that lists every experiment with results in `out`.
    public static func writeIndex(out: String) throws {
        let results = try experiments.compactMap { experiment -> LabResult? in
            let folder = LabFolder(path: "\(out)/\(experiment.name)")
            return FileManager.default.fileExists(atPath: folder.resultsPath)
                ? try LabFolder.read(LabResult.self, folder.resultsPath) : nil
        }
        let page = LabPage.index(results)
        try AtomicFile.write(to: out + "/index.html") { try $0.write(page.html) }
    }

    private static func writePage(_ result: LabResult, _ folder: LabFolder) throws {
        try AtomicFile.write(to: folder.pagePath) { try $0.write(LabPage.page(result).html) }
    }
}
