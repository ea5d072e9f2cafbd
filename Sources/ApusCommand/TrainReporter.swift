import Apus
import Foundation

/// Tells how training goes: a changing line for people, JSON for programs.
final class TrainReporter {
    private let recipe: Recipe
    private let folder: RunFolder
    private let isQuiet: Bool
    private let isJSON: Bool
    private let status = StatusLine()
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var lastEvent: ContinuousClock.Instant?
    private var lastStep: StepReport?
    private weak var trainer: Trainer?
    /// Whether epochs end with an evaluation, which then tells of both.
    private let evaluates: Bool

    init(
        _ recipe: Recipe, _ folder: RunFolder, evaluates: Bool, isQuiet: Bool, isJSON: Bool
    ) {
        self.recipe = recipe
        self.folder = folder
        self.evaluates = evaluates
        self.isQuiet = isQuiet || isJSON
        self.isJSON = isJSON
        start = clock.now
    }

    private func say(_ line: String) {
        if !isQuiet { status.note(line) }
    }

    /// What may not be as meant.
    func hints() {
        let name = recipe.network.name
        let height = recipe.network.input[1]
        let width = recipe.network.input[2]
        if min(height, width) < 64, !name.hasSuffix("-cifar") {
            say(
                "note: \(name) begins with a stem for images of about 224 pixels, these are "
                    + "\(height)x\(width); \(name)-cifar suits them better")
        }
        if !evaluates {
            say(
                "note: \(recipe.data) has no test split, so nothing will be evaluated; put the "
                    + "images in train/ and test/ to change that")
        }
    }

    /// What will be trained.
    func opening(
        _ trainer: Trainer, train: any ImageSource, test: (any ImageSource)?, initial: String?,
        left: [String]
    ) {
        self.trainer = trainer
        DataNotes.hints(train).forEach(say)
        let parameters = trainer.parameters.parameters.map(\.shape.count).reduce(0, +)
        if isJSON {
            emit(
                TrainLine(
                    event: "start", step: trainer.progress.step,
                    steps: trainer.stepsPerEpoch * recipe.epochs, epochs: recipe.epochs,
                    images: train.count, model: recipe.network.name, parameters: parameters,
                    memory_bytes: trainer.memoryBytes, threads: recipe.threads,
                    frozen_parameters: trainer.frozenCount, run: folder.path))
        }
        let verb = trainer.progress.step > 0 ? "continuing" : "training"
        say(
            "\(verb) \(recipe.network.name) (\(Readable.count(parameters)) parameters, input "
                + "\(recipe.network.input)) on \(train.count) images of \(recipe.data) in "
                + "\(recipe.classNames.count) classes"
                + (test.map { ", \($0.count) to test" } ?? "")
                + ": \(recipe.epochs) epochs, batch \(recipe.batch), "
                + "\(Readable.bytes(trainer.memoryBytes)), \(recipe.threads) threads")
        if trainer.progress.step > 0 {
            say("from step \(trainer.progress.step) of \(trainer.stepsPerEpoch * recipe.epochs)")
        } else if let initial {
            let rest = left.isEmpty ? "" : "; drawn anew: \(left.joined(separator: ", "))"
            say("starting from the weights of \(initial)\(rest)")
        }
        let frozen = trainer.frozenCount
        if frozen > 0 { say("\(Readable.count(frozen)) parameters are frozen") }
    }

    func report(_ event: TrainingEvent) {
        switch event {
        case .started: break
        case .step(let report):
            lastStep = report
            if isJSON, isDue {
                lastEvent = clock.now
                emit(line("step", report))
            }
            if !isQuiet { status.update(report.progressLine + loaderNote) }
        case .evaluated(let epoch, let evaluation):
            if isJSON {
                var line = lastStep.map { self.line("epoch", $0) } ?? TrainLine(event: "epoch")
                line.epoch = epoch
                line.test_loss = evaluation.loss
                line.test_accuracy = evaluation.top1
                emit(line)
            }
            say(
                "epoch \(epoch)/\(recipe.epochs)"
                    + (lastStep.map { "  " + $0.summary } ?? "")
                    + "  test loss \(String(format: "%.4f", evaluation.loss)) accuracy "
                    + Readable.percent(evaluation.top1) + loaderNote)
        }
        if case .step(let report) = event, isLastOfEpoch(report), !evaluates {
            say("epoch \(report.epoch + 1)/\(report.epochs)  \(report.summary)" + loaderNote)
            if isJSON { emit(line("epoch", report)) }
        }
    }

    private func isLastOfEpoch(_ report: StepReport) -> Bool {
        report.step % max(1, report.steps / report.epochs) == 0
    }

    private var isDue: Bool { lastEvent.map { clock.now - $0 > .seconds(1) } ?? true }

    /// Says so if the engine waits for images, and what they wait for.
    private var loaderNote: String {
        lastStep.flatMap { trainer?.loader?.report.note($0) } ?? ""
    }

    /// The summary and what to do next.
    func closing(_ trainer: Trainer, _ outcome: TrainingOutcome) throws {
        status.clear()
        let seconds = (clock.now - start) / .seconds(1)
        let broken = trainer.loader?.broken ?? []
        DataNotes.broken(broken).forEach(say)
        switch outcome {
        case .interrupted:
            if isJSON {
                emit(TrainLine(event: "interrupted", step: trainer.progress.step, run: folder.path))
            }
            say(
                "stopped after step \(trainer.progress.step); the checkpoint is saved. To continue: "
                    + "apus train --out \(folder.path)")
        case .finished(let evaluation):
            if isJSON {
                emit(
                    TrainLine(
                        event: "finished", step: trainer.progress.step, seconds: seconds,
                        memory_bytes: Machine.peakResidentBytes, test_loss: evaluation?.loss,
                        test_accuracy: evaluation?.top1,
                        test_accuracy_uncertainty: evaluation?.top1Uncertainty, run: folder.path,
                        broken: broken.isEmpty ? nil : broken.map(\.reason)))
            }
            let result = evaluation.map {
                "test accuracy \(Readable.percent($0.top1)) +- "
                    + "\(Readable.percent($0.top1Uncertainty)) (95 % interval, \($0.images) images), "
            }
            say(
                "done: \(result ?? "")\(Readable.duration(seconds)), at most "
                    + "\(Readable.bytes(Machine.peakResidentBytes)); the run is in \(folder.path)")
            say(
                evaluation == nil
                    ? "next: apus classify \(folder.path) IMAGE"
                    : "next: apus evaluate \(folder.path)")
        }
    }

    private func line(_ event: String, _ report: StepReport) -> TrainLine {
        TrainLine(
            event: event, step: report.step, steps: report.steps, epoch: report.epoch + 1,
            epochs: report.epochs, loss: report.loss, accuracy: report.accuracy,
            images_per_second: report.imagesPerSecond, seconds_left: report.secondsLeft,
            loader_share: report.loaderShare)
    }

    private func emit(_ line: TrainLine) {
        // Numbers that are not finite are encoded as text, so nothing can fail.
        try? printJSON(line)
    }
}

extension StepReport {
    var summary: String {
        String(format: "loss %.4f accuracy ", loss) + Readable.percent(accuracy, digits: 1)
            + String(format: "  %.0f images/s", imagesPerSecond)
    }

    /// What a person sees while it runs.
    var progressLine: String {
        let perEpoch = max(1, steps / epochs)
        let inEpoch = (step - 1) % perEpoch + 1
        return "epoch \(epoch + 1)/\(epochs) "
            + StatusLine.bar(Double(inEpoch) / Double(perEpoch))
            + " \(summary)  \(Readable.duration(secondsLeft)) left"
            + "  \(Readable.bytes(Machine.peakResidentBytes))"
    }
}

/// One event; the names are those other tools read.
private struct TrainLine: Encodable {
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
    var seconds: Double?
    var images: Int?
    var model: String?
    var parameters: Int?
    var memory_bytes: Int?
    var threads: Int?
    var frozen_parameters: Int?
    var test_loss: Double?
    var test_accuracy: Double?
    var test_accuracy_uncertainty: Double?
    var run: String?
    var broken: [String]?
}
