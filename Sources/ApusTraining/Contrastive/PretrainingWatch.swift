import ApusTensor

/// Notices what goes wrong in pretraining without an error: each once, with the remedy.
package struct PretrainingWatch {
    private var said = Set<String>()
    package init() {}

    private var probes: [String: [(accuracy: Double, probe: Double)]] = [:]

    /// What a line of metrics shows.
    package mutating func look(
        _ recipe: PretrainingRecipe, accuracy: Double, epoch: Double,
        _ embeddings: EmbeddingStatistics, probes found: [String: Double]
    ) -> [String] {
        var warnings: [String] = []
        func say(_ kind: String, _ line: String) {
            if said.insert(kind).inserted { warnings.append(line) }
        }
        if embeddings.spread < 0.1 || embeddings.rank < 1.5 {
            let remedy =
                recipe.method == .byol
                ? "lower --lr, warm up longer or take a larger --chunk: batch norm keeps BYOL apart"
                : "lower --lr or --temperature, or take a larger --batch"
            say(
                "collapse",
                "embeddings collapse: spread \(Self.short(embeddings.spread)) of 1, effective rank "
                    + "\(Self.short(embeddings.rank)); \(remedy)")
        }
        if epoch <= 1, accuracy > 0.99 {
            say(
                "easy",
                "pairs are told apart without effort (\(Self.short(100 * accuracy)) % in the first "
                    + "epoch): the views are too weak, or batch norm of small chunks tells what "
                    + "belongs together; use stronger --views or a larger --chunk")
        }
        for (kind, probe) in found {
            probes[kind, default: []].append((accuracy, probe))
            if let last = probes[kind]?.suffix(3).map(\.self), last.count == 3 {
                let (a, b, c) = (last[0], last[1], last[2])
                if c.accuracy > a.accuracy, b.probe < a.probe - 0.005, c.probe < b.probe - 0.005 {
                    say(
                        "shortcut",
                        "pairs are recognized better and better while the probe falls (to "
                            + "\(Self.short(100 * c.probe)) %): the network found a shortcut; use "
                            + "stronger --views, such as crop with color")
                }
            }
        }
        return warnings
    }

    /// What can be said before a run: of the views, the encoder and the chunks.
    package static func hints(_ recipe: PretrainingRecipe) -> [String] {
        var hints: [String] = []
        let side = min(recipe.encoder.input[1], recipe.encoder.input[2])
        if side < 64, !recipe.encoder.name.hasSuffix("-cifar") {
            hints.append(
                "\(recipe.encoder.name) begins with a stem for images of about 224 pixels, these "
                    + "have \(side); \(recipe.encoder.name)-cifar suits them better")
        }
        let blurs = recipe.views.contains { view in
            view.operations.contains { if case .blur = $0 { true } else { false } }
        }
        if side < 64, blurs {
            hints.append(
                "blur leaves little of images of \(side) pixels; use --views simclr-small-images")
        }
        if let note = recipe.views.lazy.compactMap({
            $0.adaptationNote(channels: recipe.preprocessing.channels)
        }).first {
            hints.append(note)
        }
        if recipe.chunk < 32 {
            hints.append(
                "batch norm over chunks of \(recipe.chunk) images is noisy and can tell which "
                    + "views belong together; use a --chunk of 64 or more")
        }
        if recipe.chunk < recipe.batch {
            hints.append(
                "batch norm sees chunks of \(recipe.chunk) images with both views, not the batch "
                    + "of \(recipe.batch)")
        }
        return hints
    }

    /// Checks that views of one image are where the loss looks for them. In `projections` both views
    /// of every image are the same picture; they must be recognized. Nil if they are.
    package static func pairTest(_ projections: Tensor) -> String? {
        let matrix = SimilarityMatrix(projections, scale: 1, normalizes: true, threads: 1)
        matrix.visit(matrix.noteLargest)
        if matrix.accuracy >= 0.5 { return nil }
        return
            "the same picture twice is not recognized as a pair (\(short(100 * matrix.accuracy)) "
            + "%): images are all alike, or the network maps them to the same point at the start; "
            + "look at the data with `apus classify --sheet`, or choose another model"
    }

    private static func short(_ value: Double) -> String {
        String(Double(Int(value * 100)) / 100)
    }
}
