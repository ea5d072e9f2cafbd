import ApusGraph
import ApusTraining

/// One page of one run or several side by side.
public enum RunPage {
    public static func page(_ runs: [RunSummary]) throws -> Page {
        var body: [Markup] = [overview(runs).markup, Page.heading("Curves")]
        var figures: [Figure] = []
        for curve in RunCurve.all(of: runs) {
            var y = Axis(curve.unit, isLogarithmic: curve.isLogarithmic)
            y.includesZero = !curve.isLogarithmic
            let chart = LineChart(
                curve.title, x: Axis("epochs"), y: y,
                series: runs.enumerated().flatMap { index, run in
                    series(run, runs.count > 1, index, curve.value)
                })
            if !chart.series.isEmpty { figures.append(.lines(chart)) }
        }
        body.append(Figure.grid(figures))
        for run in runs { body += try details(run) }
        let names = runs.map(\.name).joined(separator: ", ")
        return Page("\(runs.count == 1 ? "Run" : "Runs") \(names)", body)
    }

    private static func overview(_ runs: [RunSummary]) -> DataTable {
        DataTable(
            [
                "run", "network", "data", "epochs", "batch", "learning rate", "steps taken",
                "last training loss", "best result", "last result",
            ],
            runs.map { run in
                let (data, epochs, batch, rate) =
                    switch run.kind {
                    case .training(let recipe):
                        (recipe.data, recipe.epochs, recipe.batch, recipe.learningRate)
                    case .pretraining(let recipe):
                        (recipe.data, recipe.epochs, recipe.batch, recipe.learningRate)
                    }
                let results = results(run)
                return [
                    run.name, run.network.name, data, "\(epochs)", "\(batch)", "\(rate)",
                    "\(run.metrics.last?.step ?? 0)",
                    run.metrics.last { $0.phase == .train }.map { NumberText.short($0.loss) }
                        ?? "-",
                    results.max { $0.accuracy < $1.accuracy }?.text ?? "-",
                    results.last?.text ?? "-",
                ]
            })
    }

    /// Test accuracies; without labels those of the probes meanwhile, which saw no test image.
    private static func results(_ run: RunSummary) -> [(accuracy: Double, text: String)] {
        func percent(_ accuracy: Double, _ what: String) -> (Double, String) {
            (accuracy, NumberText.short(100 * accuracy, digits: 4) + " % \(what)")
        }
        return switch run.kind {
        case .training:
            run.metrics.filter { $0.phase == .evaluate }.map { percent($0.accuracy, "of the test") }
        case .pretraining:
            run.metrics.compactMap { metrics in
                metrics.probes?.max { ($0.value, $0.key) < ($1.value, $1.key) }.map {
                    percent($0.value, "by \($0.key) probe")
                }
            }
        }
    }

    private static func series(
        _ run: RunSummary, _ named: Bool, _ color: Int, _ value: (Metrics) -> Double?
    ) -> [LineChart.Series] {
        [Metrics.Phase.train, .evaluate].compactMap { phase in
            let points = run.metrics.filter { $0.phase == phase }.compactMap { metrics in
                value(metrics).map { LineChart.Point(metrics.epoch, $0) }
            }
            if points.isEmpty { return nil }
            let isTrain = phase == .train
            return LineChart.Series(
                (named ? run.name + ", " : "") + (isTrain ? "training" : "test"), points,
                color: named ? color : isTrain ? 0 : 1, dash: isTrain ? 0 : 1)
        }
    }

    private static func details(_ run: RunSummary) throws -> [Markup] {
        var body = [Page.heading("Run \(run.name)")]
        body.append(Figure.networks(NetworkStrips("The network", [run.network])).markup)
        if let problem = run.problem {
            body.append(Page.paragraph("The test images could not be looked at: \(problem)."))
        }
        guard let evaluation = run.evaluation, case .training(let recipe) = run.kind else {
            return body
        }
        body.append(
            Page.paragraph(
                "Top-1 accuracy \(NumberText.short(100 * evaluation.top1, digits: 4)) % +- "
                    + "\(NumberText.short(100 * evaluation.top1Uncertainty)) (95 % interval) on "
                    + "\(evaluation.images) test images, loss "
                    + "\(NumberText.short(evaluation.loss))."))
        let names = recipe.classNames
        if names.count <= 20 {
            body.append(
                Figure.heat(
                    HeatChart(
                        "What was taken for what", label: "images, square root",
                        rows: ("is", names), columns: ("was taken for", names),
                        values: evaluation.confusion.map { $0.map { Double($0).squareRoot() } },
                        cells: evaluation.confusion.map { $0.map { $0 == 0 ? "" : "\($0)" } })
                ).markup)
        }
        let frequent = evaluation.mistakes.prefix(10)
        if !frequent.isEmpty {
            body.append(
                DataTable(
                    ["is", "was taken for", "images"],
                    frequent.map { [names[$0.label], names[$0.prediction], "\($0.images)"] }
                ).markup)
            body.append(
                Figure.images(
                    ImageSheet(
                        "The mistakes it was most certain of",
                        try run.mistakes.map { mistake in
                            try ImageSheet.Tile(
                                mistake.image,
                                "\(mistake.label), taken for \(mistake.prediction) "
                                    + "(\(NumberText.short(100 * mistake.confidence)) %)")
                        })
                ).markup)
        }
        return body
    }
}
