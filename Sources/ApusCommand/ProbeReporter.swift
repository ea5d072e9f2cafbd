import Apus
import Foundation

/// Tells how a probe goes: a changing line for people, JSON for programs.
final class ProbeReporter {
    private let isJSON: Bool
    private let status = StatusLine()

    init(isJSON: Bool) { self.isJSON = isJSON }

    func opening(
        _ report: ProbeReport, _ encoder: FeatureEncoder, train: any ImageSource,
        test: any ImageSource
    ) {
        guard !isJSON else { return }
        let done =
            report.results.isEmpty ? "" : "; \(report.results.count) results are there already"
        Terminal.note(
            "probing \(report.encoder) (\(encoder.origin.rawValue), fingerprint "
                + "\(report.fingerprint)) on \(train.count) training and \(test.count) test images "
                + "of \(report.settings.data) in \(train.classNames.count) classes\(done)")
    }

    func report(_ event: ProbeEvent) {
        switch event {
        case .features(let split, let isRandom, let done, let count):
            let share = Double(done) / Double(max(1, count))
            show(
                "\(StatusLine.bar(share)) features of \(done) of \(count) \(split.rawValue) images"
                    + (isRandom ? ", random encoder" : ""))
        case .fitting(let part): show("fitting linear classifiers: \(name(part))")
        case .searching(let part): show("looking for neighbors: \(name(part))")
        case .training(let part, let isTrial, let step):
            show(
                "\(StatusLine.bar(Double(step.step) / Double(step.steps))) "
                    + (isTrial ? "choosing a rate: " : "training: ") + name(part)
                    + String(format: "  loss %.3f", step.loss)
                    + "  \(Readable.duration(step.secondsLeft)) left")
        case .result(let result):
            if isJSON { return emit(ResultLine(result)) }
            var details: [String] = []
            if let penalty = result.penalty {
                details.append(String(format: "penalty %.3g", penalty))
            }
            if let rate = result.learningRate { details.append("rate \(rate)") }
            if let accuracy = result.heldOutAccuracy {
                details.append("held out \(Readable.percent(accuracy))")
            }
            if result.part.percent < 100 {
                details.append(
                    "\(result.labels) labels, by class \(Self.counts(result.labelsByClass))")
            }
            status.note(
                "\(name(result.part)): \(Readable.percent(result.accuracy))"
                    + (details.isEmpty ? "" : " (\(details.joined(separator: ", ")))"))
        }
    }

    func closing(_ report: ProbeReport, _ folder: String) throws {
        status.clear()
        if isJSON {
            for summary in report.summaries { emit(SummaryLine(summary)) }
            return
        }
        print(
            "\(report.encoder) on \(report.settings.data)"
                + (report.settings.layer == .projection ? ", behind the projection head" : ""))
        var table = Table(
            ("measured by", .left), ("weights", .left), ("labels", .right), ("accuracy", .right),
            ("+- seeds", .right), ("+- test", .right), ("gain", .right))
        for line in report.summaries {
            let seeds = line.accuracy.values.count
            table.add(
                Self.name(line.method), Self.weights(line),
                "\(line.labels) (\(Self.number(line.percent)) %)",
                Readable.percent(line.accuracy.mean),
                line.accuracy.uncertainty.map { "\(Self.points($0)) (\(seeds))" } ?? "-",
                Self.points(line.testUncertainty),
                line.gain.map { gain in
                    (gain.mean >= 0 ? "+" : "") + Self.points(gain.mean)
                        + (gain.uncertainty.map { " +- " + Self.points($0) } ?? "")
                } ?? "")
        }
        table.print()
        print(
            "\naccuracy is of test images; +- are 95 % intervals, over seeds (how many) and for the "
                + "number of test images; gain is over random features or training from scratch, in "
                + "points. Results are in \(folder)/results.json")
    }

    func interrupted(_ report: ProbeReport, _ folder: String) {
        status.clear()
        if isJSON { return emit(["event": "interrupted", "out": folder]) }
        Terminal.note(
            "stopped; \(report.results.count) results are in \(folder). The same command goes on "
                + "from there")
    }

    private func show(_ text: @autoclosure () -> String) {
        if !isJSON { status.update(text()) }
    }

    private func emit(_ line: some Encodable) { try? printJSON(line) }

    private func name(_ part: ProbePart) -> String {
        var text = Self.name(part.method)
        if part.isRandom, part.method != .supervised { text += " of the random encoder" }
        if part.percent < 100 { text += " with \(Self.number(part.percent)) %" }
        if let seed = part.seed { text += ", seed \(seed)" }
        return text
    }

    private static func name(_ method: ProbeMethod) -> String {
        method == .neighbors ? "kNN" : method.rawValue
    }

    private static func weights(_ line: ProbeReport.Summary) -> String {
        switch (line.method, line.isRandom) {
        case (.fineTuned, _): "all trained further"
        case (.supervised, _): "all trained from scratch"
        case (_, true): "random, frozen"
        case (_, false): "frozen"
        }
    }

    private static func points(_ share: Double) -> String { String(format: "%.2f", 100 * share) }

    private static func number(_ percent: Double) -> String {
        percent == percent.rounded() ? String(Int(percent)) : String(percent)
    }

    /// `6000 each`, or the counts one by one.
    private static func counts(_ counts: [Int]) -> String {
        let distinct = Set(counts)
        if distinct.count == 1, let count = distinct.first { return "\(count) each" }
        return counts.map(String.init).joined(separator: " ")
    }
}

/// The names are those other tools read.
private struct ResultLine: Encodable {
    var event = "result"
    var method: ProbeMethod
    var random: Bool
    var percent: Double
    var seed: UInt64?
    var labels: Int
    var accuracy: Double
    var test_images: Int
    var penalty: Double?
    var learning_rate: Float?
    var held_out_accuracy: Double?

    init(_ result: ProbeResult) {
        method = result.part.method
        random = result.part.isRandom
        percent = result.part.percent
        seed = result.part.seed
        labels = result.labels
        accuracy = result.accuracy
        test_images = result.testImages
        penalty = result.penalty
        learning_rate = result.learningRate
        held_out_accuracy = result.heldOutAccuracy
    }
}

private struct SummaryLine: Encodable {
    var event = "summary"
    var method: ProbeMethod
    var random: Bool
    var percent: Double
    var labels: Int
    var accuracy: Double
    var accuracies: [Double]
    var seeds_uncertainty: Double?
    var test_uncertainty: Double
    var gain: Double?
    var gain_uncertainty: Double?

    init(_ summary: ProbeReport.Summary) {
        method = summary.method
        random = summary.isRandom
        percent = summary.percent
        labels = summary.labels
        accuracy = summary.accuracy.mean
        accuracies = summary.accuracy.values
        seeds_uncertainty = summary.accuracy.uncertainty
        test_uncertainty = summary.testUncertainty
        gain = summary.gain?.mean
        gain_uncertainty = summary.gain?.uncertainty
    }
}
