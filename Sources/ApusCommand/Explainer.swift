import Apus
import ApusReport
import ArgumentParser
import Foundation

/// What `classify` takes to show where the network looks.
struct ExplainOptions: ParsableArguments {
    @Option(
        help: """
            Write a picture of every image with a heat map and a box of the likeliest class to this \
            folder, or for a single image to this PNG file; --json gains the box.
            """)
    var explain: String?

    @Option(
        help: """
            The layer whose images --explain weighs by their gradients (Grad-CAM), such as layer3. \
            (default: the last one, as a class activation map where the network has one)
            """)
    var layer: String?

    func validate() throws {
        if explain == "" { throw ValidationError("--explain needs a folder or a PNG file") }
        if layer != nil, explain == nil { throw ValidationError("--layer goes with --explain") }
    }

    /// Nil where nothing is to be explained.
    func explainer(
        _ classifier: Classifier, images: Int, configuration: Session.Configuration
    ) throws -> Explainer? {
        guard let explain else { return nil }
        let isFile = explain.lowercased().hasSuffix(".png")
        guard !isFile || images == 1 else {
            throw ValidationError(
                "--explain \(explain) takes one image, these are \(images); give a folder")
        }
        let localizer = try Localizer(classifier, layer: layer, configuration: configuration)
        if !isFile {
            do {
                try FileManager.default.createDirectory(
                    atPath: explain, withIntermediateDirectories: true)
            } catch {
                throw CommandError(
                    "cannot make the folder \(explain): \(error.brief); choose another --explain")
            }
        }
        return Explainer(localizer, path: explain, isFile: isFile)
    }
}

/// Writes pictures of where the network looks.
final class Explainer {
    private let localizer: Localizer
    private let path: String
    private let isFile: Bool
    private var taken: Set<String> = []

    init(_ localizer: Localizer, path: String, isFile: Bool) {
        self.localizer = localizer
        self.path = path
        self.isFile = isFile
    }

    /// Writes the picture of one image and returns the box of `label` in it.
    func explain(_ image: Image, name: String, label: Int?) throws -> BoundingBox? {
        let found = try localizer.localize(image, name: name, label: label)
        let picture = HeatMapPicture(
            image, map: found.map, region: found.region, box: found.box
        ).picture()
        let png = try ImageEncoder.encodePNG(picture)
        let file = isFile ? path : "\(path)/\(freeName(name)).png"
        try AtomicFile.write(to: file) { try $0.write(Data(png)) }
        return found.box
    }

    /// The image's own name without its folder and ending, numbered where it is taken.
    private func freeName(_ name: String) -> String {
        let url = URL(fileURLWithPath: name).deletingPathExtension()
        let stem = String(url.lastPathComponent.map { $0 == "/" || $0 == "\0" ? "-" : $0 })
        var candidate = stem
        var number = 1
        while !taken.insert(candidate).inserted {
            number += 1
            candidate = "\(stem)-\(number)"
        }
        return candidate
    }
}
