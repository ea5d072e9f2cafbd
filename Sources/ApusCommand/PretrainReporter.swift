import Apus
import Foundation

/// Tells how pretraining goes: a changing line for people, JSON for programs.
final class PretrainReporter {
    private let recipe: PretrainingRecipe
    private let folder: RunFolder
    private let isQuiet: Bool
    private let isJSON: Bool
    private let status = StatusLine()
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var lastEvent: ContinuousClock.Instant?
    private var lastStep: StepReport?
    private weak var pretrainer: Pretrainer?

    init(_ recipe: PretrainingRecipe, _ folder: RunFolder, isQuiet: Bool, isJSON: Bool) {
        self.recipe = recipe
        self.folder = folder
        self.isQuiet = isQuiet || isJSON
        self.isJSON = isJSON
        start = clock.now
    }

    private func say(_ line: String) {
        if !isQuiet { status.note(line) }
    }

    private func emit(_ line: PretrainLine) {
        // Numbers that are not finite are encoded as text, so nothing can fail.
        if isJSON { try? printJSON(line) }
    }

    /// What will be trained, how much memory it takes, and what may not be as meant.
    ///
    /// - Parameter baseline: bytes the process held with its data, before the run was prepared
    func opening(_ pretrainer: Pretrainer, baseline: Int) {
        self.pretrainer = pretrainer
        let memory = baseline + pretrainer.memoryBytes
        let parameters = pretrainer.parameters.parameters.map(\.shape.count).reduce(0, +)
        let features = (try? recipe.encoder.features) ?? 0
        let chunks =
            recipe.chunk < recipe.batch ? " in chunks of \(recipe.chunk)" : ""
        emit(
            PretrainLine(
                event: "start", step: pretrainer.progress.step, steps: pretrainer.steps,
                epochs: recipe.epochs, model: recipe.encoder.name, parameters: parameters,
                features: features, memory_bytes: memory, run: folder.path))
        say(
            "\(pretrainer.progress.step > 0 ? "continuing" : "pretraining") \(recipe.encoder.name) "
                + "(\(features) features, with heads \(Readable.count(parameters)) parameters, "
                + "input \(recipe.encoder.input)) by \(recipe.method.rawValue) on \(recipe.data): "
                + "\(recipe.epochs) epochs of \(pretrainer.stepsPerEpoch) steps, batch "
                + "\(recipe.batch)\(chunks), \(recipe.threads) threads")
        say(
            "memory: about \(Readable.bytes(memory)), the images of a whole batch included; "
                + "\(optimizerName), learning rate \(recipe.learningRate)")
        if pretrainer.progress.step > 0 {
            say("from step \(pretrainer.progress.step) of \(pretrainer.steps)")
        }
        for hint in pretrainer.hints { say("note: \(hint)") }
    }

    private var optimizerName: String {
        switch recipe.optimizer {
        case .sgd: "SGD"
        case .adamW: "AdamW"
        case .lars(let lars): "LARS as \(lars.variant.rawValue)'s"
        }
    }

    func report(_ event: PretrainingEvent) {
        switch event {
        case .started: break
        case .step(let report):
            if isJSON, lastEvent.map({ clock.now - $0 > .seconds(1) }) ?? true {
                lastEvent = clock.now
                emit(line(report))
            }
            lastStep = report
            if !isQuiet { status.update(report.progressLine + loaderNote) }
        case .metrics(let metrics):
            var line = PretrainLine(event: "metrics", step: metrics.step, loss: metrics.loss)
            line.metrics = metrics
            emit(line)
            say(text(metrics) + loaderNote)
        case .warning(let warning):
            emit(PretrainLine(event: "warning", warning: warning))
            // Also where only errors are asked for: nobody would look for it otherwise.
            if !isJSON { status.note("warning: \(warning)") }
        }
    }

    private var loaderNote: String {
        lastStep.flatMap { pretrainer?.loader?.report.note($0) } ?? ""
    }

    private func text(_ metrics: Metrics) -> String {
        let embeddings = metrics.embeddings.map {
            String(
                format: "  alignment %.3f uniformity %.3f rank %.1f spread %.2f", $0.alignment,
                $0.uniformity, $0.rank, $0.spread)
        }
        let probes = (metrics.probes ?? [:]).sorted { $0.key < $1.key }.map {
            "  \($0.key) \(Readable.percent($0.value))"
        }
        return String(format: "epoch %.2f  loss %.4f pairs found ", metrics.epoch, metrics.loss)
            + Readable.percent(metrics.accuracy, digits: 1)
            + String(format: "  %.0f images/s", metrics.imagesPerSecond ?? 0)
            + (embeddings ?? "") + probes.joined()
    }

    private func line(_ report: StepReport) -> PretrainLine {
        PretrainLine(
            event: "step", step: report.step, steps: report.steps, epoch: report.epoch + 1,
            epochs: report.epochs, loss: report.loss, accuracy: report.accuracy,
            images_per_second: report.imagesPerSecond, seconds_left: report.secondsLeft,
            loader_share: report.loaderShare)
    }

    /// The summary and what to do next.
    func closing(_ pretrainer: Pretrainer, isDone: Bool) {
        status.clear()
        let step = pretrainer.progress.step
        let broken = pretrainer.loader?.broken ?? []
        DataNotes.broken(broken).forEach(say)
        emit(
            PretrainLine(
                event: isDone ? "finished" : "interrupted", step: step,
                seconds: (clock.now - start) / .seconds(1),
                memory_bytes: Machine.peakResidentBytes, run: folder.path,
                broken: broken.isEmpty ? nil : broken.map(\.reason)))
        guard isDone else {
            return say(
                "stopped after step \(step); the checkpoint is saved. To continue: "
                    + "apus pretrain --out \(folder.path)")
        }
        say(
            "done: \(Readable.duration((clock.now - start) / .seconds(1))), at most "
                + "\(Readable.bytes(Machine.peakResidentBytes)); the run is in \(folder.path)")
        say("next: apus probe \(folder.path)")
    }
}

/// One event.
private struct PretrainLine: Encodable {
    var event: String
    var step: Int?
    var steps: Int?
    var epoch: Int?
    var epochs: Int?
    var loss: Double?
    var accuracy: Double?
    var images_per_second: Double?
    var seconds_left: Double?
    var loader_share: Double?
    var model: String?
    var parameters: Int?
    var features: Int?
    var seconds: Double?
    var memory_bytes: Int?
    var warning: String?
    var metrics: Metrics?
    var run: String?
    var broken: [String]?
}
