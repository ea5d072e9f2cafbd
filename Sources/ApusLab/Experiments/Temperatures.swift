import ApusReport
import ApusTraining

/// The temperature decides how much hard negatives count, and being good at the contrastive task is not
/// being good.
struct Temperatures: Experiment {
    let name = "temperature"
    let title = "Temperature and normalization"
    let claim = """
        Projections should be normalized, and their similarities divided by a temperature in the \
        middle, 0.1 to 0.5: colder and hotter are worse, and so are projections that are not \
        normalized. How often pairs are recognized is no guide: the setting that recognizes most is \
        not the best.
        """
    let paper = "Chen, Kornblith, Norouzi and Hinton 2020, section 5.1, table 5"
    let minutes = 14.0
    let criteria = [
        Criterion(
            "learned",
            "accuracy of the probe: best middle temperature minus the untrained encoder",
            .above(0.01), isCondition: true),
        Criterion(
            "cold", "accuracy of the probe: best of 0.1, 0.2 and 0.5 minus temperature 0.05",
            .above(0)),
        Criterion("hot", "best of 0.1, 0.2 and 0.5 minus temperature 1", .above(0)),
        Criterion(
            "normalized", "best of 0.1, 0.2 and 0.5 minus the best that is not normalized",
            .above(0)),
        Criterion(
            "guide", "the best minus the setting that recognizes most pairs", .above(0)),
    ]

    /// Temperature, whether projections are normalized, and the paper's top-1 on ImageNet.
    private let settings: [(Float, Bool, String)] = [
        (0.05, true, "59.7"), (0.1, true, "64.4"), (0.2, true, ""), (0.5, true, "60.7"),
        (1, true, "58.0"), (10, false, "57.2"), (100, false, "57.0"),
    ]

    /// Deeper than usual: features of 8 layers are good untrained and soon as good as they get, whatever
    /// teaches them.
    private let layers = 14

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let usual = try lab.pretraining(layers: layers)
        let jobs = settings.map { temperature, normalizes, _ in
            var recipe = usual
            recipe.loss = .ntXent(temperature: temperature)
            recipe.normalizes = normalizes
            let number = NumberText.short(Double(temperature))
            return PretrainingJob(normalizes ? number : "\(number), not normalized", recipe)
        }
        let all = try lab.pretrain(jobs + [.untrained(usual)])
        let trained = Array(all.dropLast())
        let middle = Array(trained[1...3]).best ?? trained[2]
        let unnormalized = Array(trained[5...]).best ?? trained[5]
        let keenest = trained.max { $0.contrastive.mean < $1.contrastive.mean } ?? trained[0]
        let best = trained.best ?? middle
        findings.measured["learned"] = middle.probe - all[all.count - 1].probe
        findings.measured["cold"] = middle.probe - trained[0].probe
        findings.measured["hot"] = middle.probe - trained[4].probe
        findings.measured["normalized"] = middle.probe - unnormalized.probe
        findings.measured["guide"] = best.probe - keenest.probe

        func points(_ value: (PretrainedJob) -> Estimate) -> [LineChart.Point] {
            zip(settings, trained).filter { $0.0.1 }.map {
                LineChart.Point(Double($0.0), value($1) / .exact(0.01))
            }
        }
        let axis = Axis("temperature", isLogarithmic: true)
        findings.figures = [
            .multiples(
                title: "Normalized projections (bands: 95 % intervals over the seeds)",
                charts: [
                    LineChart(
                        "Linear probe", x: axis, y: .percent("accuracy of the linear probe"),
                        series: [LineChart.Series("probe", points(\.probe))]),
                    LineChart(
                        "Contrastive accuracy", x: axis, y: .percent("pairs recognized"),
                        series: [LineChart.Series("pairs", points(\.contrastive), color: 1)]),
                ]), all.bars("Linear probes of all settings"), trained.curves(),
        ]
        findings.comparison = DataTable(
            [
                "temperature", "normalized", "contrastive accuracy, %", "probe, %",
                "paper, ImageNet, %",
            ],
            zip(settings, trained).map { setting, job in
                [
                    NumberText.short(Double(setting.0)), setting.1 ? "yes" : "no",
                    TrainedJob.percent(job.contrastive), TrainedJob.percent(job.probe), setting.2,
                ]
            })
        findings.setup = LabContext.pretrainingSetup(layers: layers)
        findings.remarks =
            [
                "The best on average over the seeds: \(best.job.label). Most pairs recognized: "
                    + "\(keenest.job.label)."
            ] + all.divergences
        return findings
    }
}
