import Foundation
import PackagePlugin

/// Writes down which experiments there are, one for every file in `Sources/ApusLab/Experiments`, before
/// the target is built: an experiment is added by adding its file. A file `GoodIdea.swift` holds the
/// type `GoodIdea`.
@main
struct ExperimentList: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let folder = target.directoryURL.appending(path: "Experiments")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasSuffix(".swift") }.map { $0.dropLast(".swift".count) }.sorted()
        let list = names.map { "        \($0)(),\n" }.joined()
        let source = """
            extension Lab {
                /// Every experiment, by the name of its file.
                static let listed: [any Experiment] = [
            \(list)    ]
            }

            """
        let output = context.pluginWorkDirectoryURL.appending(path: "ExperimentList.swift")
        // The text is an argument, so the file is written again when the list changes.
        return [
            .buildCommand(
                displayName: "Listing \(names.count) experiments",
                executable: URL(fileURLWithPath: "/bin/sh"),
                arguments: ["-c", "printf '%s' \"$1\" > \"$2\"", "sh", source, output.path],
                outputFiles: [output])
        ]
    }
}
