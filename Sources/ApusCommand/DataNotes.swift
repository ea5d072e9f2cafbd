import Apus

/// What is said about data wherever they are opened.
enum DataNotes {
    /// The most lines about one thing.
    private static let most = 20

    /// What may not be as meant with the images of a source.
    static func hints(_ source: any ImageSource) -> [String] {
        var lines: [String] = []
        if let first = source.otherFiles.first {
            let count = source.otherFiles.count
            lines.append(
                count == 1
                    ? "note: \(first) is no image by its name and was left out"
                    : "note: \(count) files are no images by their names and were left out, such as "
                        + first)
        }
        var counts = [Int](repeating: 0, count: source.classNames.count)
        if source.hasLabels {
            for index in 0..<source.count {
                let label = source.label(at: index)
                if counts.indices.contains(label) { counts[label] += 1 }
            }
        }
        let few = zip(source.classNames, counts).filter { $1 < 2 }
        if let (name, count) = few.first {
            lines.append(
                "note: class \(name) has \(count == 0 ? "no image" : "one image")"
                    + (few.count > 1 ? ", as \(few.count - 1) others have at most" : ""))
        }
        return lines
    }

    /// The images that were replaced because they cannot be read.
    static func broken(_ images: [BrokenImage]) -> [String] {
        guard !images.isEmpty else { return [] }
        let rest = images.count - most
        return [
            "\(images.count) \(images.count == 1 ? "image" : "images") could not be read; others "
                + "were taken instead:"
        ] + images.prefix(most).map { "  \($0.reason)" }
            + (rest > 0 ? ["  and \(rest) more; `apus data check` lists them all"] : [])
    }
}

extension LoaderReport {
    /// Says so if the engine waits for images, and what they wait for; empty if it does not.
    func note(_ step: StepReport) -> String {
        guard step.loaderShare > 0 else { return "" }
        let seconds = waitSeconds / step.loaderShare
        let images = Int(seconds * step.imagesPerSecond)
        return explanation(images: images, seconds: seconds).map { "  (\($0))" } ?? ""
    }
}

extension ImageSource {
    /// Throws unless there is something to tell apart.
    func requireClasses(_ name: String) throws {
        guard hasLabels else {
            throw DataError(
                name, "has no labels, which supervised training needs",
                remedy: "put the images in a folder a class, or list them with labels "
                    + "(list:FILE), or learn from them without labels (apus pretrain)")
        }
        guard classNames.count > 1 else {
            throw DataError(
                name, "has one class alone (\(classNames[0]))",
                remedy: "give a folder with a folder for each of several classes")
        }
    }

    /// Does something with the images; an error about one of them also says `remedy`, if there is one.
    func withRemedy<Result>(_ remedy: String?, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DataError {
            guard let remedy, (0..<count).contains(where: { name(of: $0) == error.place }) else {
                throw error
            }
            throw error.adding(remedy: remedy)
        }
    }
}
