import ApusGraph
import ApusTraining

/// One page of one run or several side by side.
public enum RunPage {
    public static func page(_ runs: [RunSummary]) throws -> Page {
        var body: [Markup] = [overview(runs).markup, Page.heading("Curves")]
        let curves: [(title: String, unit: String, isLogarithmic: Bool, (Metrics) -> Double?)] = [
            ("Loss", "mean cross entropy", false, { $0.loss }),
            ("Error", "share of wrong answers, %", false, { 100 * (1 - $0.accuracy) }),
            ("Learning rate", "learning rate", false, { $0.learningRate }),
            ("Gradients", "norm of all gradients together", true, { $0.gradientNorm }),
            ("Speed", "images a second", false, { $0.imagesPerSecond }),
        ]
        var figures: [Figure] = []
        for (title, unit, isLogarithmic, value) in curves {
            var y = Axis(unit, isLogarithmic: isLogarithmic)
            y.includesZero = !isLogarithmic
            let chart = LineChart(
                title, x: Axis("epochs"), y: y,
                series: runs.enumerated().flatMap { index, run in
                    series(run, runs.count > 1, index, value)
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
                "last training loss", "best test accuracy", "last test accuracy",
            ],
            runs.map { run in
                let tests = run.metrics.filter { $0.phase == .evaluate }
                func percent(_ accuracy: Double?) -> String {
                    accuracy.map { NumberText.short(100 * $0, digits: 4) + " %" } ?? "-"
                }
                return [
                    run.name, run.recipe.network.name, run.recipe.data, "\(run.recipe.epochs)",
                    "\(run.recipe.batch)", "\(run.recipe.learningRate)",
                    "\(run.metrics.last?.step ?? 0)",
                    run.metrics.last { $0.phase == .train }.map { NumberText.short($0.loss) }
                        ?? "-",
                    percent(tests.map(\.accuracy).max()), percent(tests.last?.accuracy),
                ]
            })
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
        body.append(
            Figure.networks(NetworkStrips("The network", [run.recipe.network])).markup)
        if let problem = run.problem {
            body.append(Page.paragraph("The test images could not be looked at: \(problem)."))
        }
        guard let evaluation = run.evaluation else { return body }
        body.append(
            Page.paragraph(
                "Top-1 accuracy \(NumberText.short(100 * evaluation.top1, digits: 4)) % +- "
                    + "\(NumberText.short(100 * evaluation.top1Uncertainty)) (95 % interval) on "
                    + "\(evaluation.images) test images, loss "
                    + "\(NumberText.short(evaluation.loss))."))
        let names = run.recipe.classNames
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
