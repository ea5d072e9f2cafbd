import ApusGraph
import ApusReport

/// Deeper plain networks are worse even on the images they learn from; deeper residual ones are not.
struct Degradation: Experiment {
    let name = "degradation"
    let title = "Depth without shortcuts does harm"
    let claim = """
        A plain network of 56 layers has a higher error than one of 20 on the very images it is trained \
        on, so more layers are harder to train, not more prone to overfit. With shortcuts the deeper \
        network is no worse.
        """
    let paper = "He, Zhang, Ren and Sun 2015, figure 6"
    let minutes = 55.0
    let criteria = [
        Criterion(
            "learned", "training error of plain-20: it has learned something", .below(0.4),
            isCondition: true),
        Criterion(
            "plain", "training error of plain-56 minus that of plain-20", .above(0.01)),
        Criterion(
            "residual", "training error of resnet-56 minus that of resnet-20", .below(0.015)),
        Criterion(
            "shortcuts", "training error of plain-56 minus that of resnet-56", .above(0.01)),
    ]

    /// At the paper's 0.1, 56 layers learn slowly within a few thousand steps even with shortcuts; the
    /// paper lets its deepest network begin at 0.01. At 0.025 a deep plain network now and then hardly learns, and
    /// seeds differ too much to judge.
    private let rate: Float = 0.0125
    /// Test errors in percent on CIFAR-10, of the paper's table 6. It shows plain networks only as curves.
    private let published = [20: "8.75", 32: "7.51", 44: "7.17", 56: "6.97", 110: "6.43"]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        // With hours, images keep their size and 110 layers are tried, too. Within an hour, a quarter of
        // the pixels buys four times the steps, which optimization needs more.
        let isLong = lab.seconds >= 150 * 60
        let scale = isLong ? 1 : 0.5
        let data = try lab.data()
        let depths = [20, 32, 44, 56] + (isLong ? [110] : [])
        let jobs =
            try depths.map {
                TrainingJob(
                    "plain-\($0)", try data.network("plain\($0)-cifar", scale: scale),
                    learningRate: rate)
            }
            + depths.map {
                let network = try data.network("resnet\($0)-cifar", scale: scale)
                return TrainingJob("resnet-\($0)", lab.residual(network), learningRate: rate)
            }
        let trained = try lab.train(jobs)
        let plain = Array(trained.prefix(depths.count))
        let residual = Array(trained.dropFirst(depths.count))
        findings.measured["learned"] = plain[0].trainError
        findings.measured["plain"] = plain[3].trainError - plain[0].trainError
        findings.measured["residual"] = residual[3].trainError - residual[0].trainError
        findings.measured["shortcuts"] = plain[3].trainError - residual[3].trainError

        for (title, which) in [("Training error", true), ("Test error", false)] {
            findings.figures.append(
                .multiples(
                    title: "\(title) (bands: 95 % intervals over the seeds)",
                    charts: [("Plain networks", plain), ("Residual networks", residual)].map {
                        name, jobs in
                        LineChart(
                            name, x: Axis("thousand images seen"), y: .percent("error"),
                            series: jobs.enumerated().map { index, job in
                                job.series(color: index, dash: index) {
                                    which ? $0.trainError : $0.testError
                                }
                            })
                    }))
        }
        findings.figures.append(
            .bars(
                BarChart(
                    "Training error at the end", y: .percent("error"),
                    groups: depths.map { "\($0) layers" },
                    series: [("plain", plain), ("residual", residual)].map { name, jobs in
                        BarChart.Series(
                            name, jobs.map { BarChart.Bar($0.trainError / .exact(0.01)) })
                    })))
        findings.figures.append(
            .networks(NetworkStrips("The networks", [jobs[0], jobs[depths.count]].map(\.network))))
        findings.comparison = DataTable(
            [
                "network", "training error here, %", "test error here, %",
                "paper, test error on CIFAR-10, %",
            ],
            trained.enumerated().map { index, job in
                let depth = depths[index % depths.count]
                return [
                    job.job.label, TrainedJob.percent(job.trainError),
                    TrainedJob.percent(job.testError),
                    index >= depths.count
                        ? published[depth] ?? ""
                        : depth == 110 ? "over 60" : "a curve that rises with depth",
                ]
            })
        findings.setup = [
            "All networks learn from the same images in the same order: SGD with momentum 0.9, batch "
                + "64, learning rate \(rate) falling as a cosine after a short rise, weight decay 1e-4, no "
                + "augmentation.",
            "Images of \(jobs[0].network.input[1])x\(jobs[0].network.input[2]) pixels.",
            "Training error is that of the batches trained on since the last point, as in the paper.",
        ]
        findings.remarks = [
            "The paper trains 64,000 steps on CIFAR-10. A budget of minutes shows the beginning of "
                + "such a run, where the difference is that of speed of learning; whether it remains "
                + "at the end needs a longer one (--budget)."
        ]
        return findings
    }
}
