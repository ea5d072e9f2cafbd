import ApusData
import ApusReport
import ApusTraining

/// What a representation learns to ignore is what the views differ in: one change is not enough.
struct Augmentations: Experiment {
    let name = "augmentations"
    let title = "Pairs of augmentations"
    let claim = """
        No single change of the views teaches a good representation: pairs of changes are better than \
        either alone. The best pair contains the random crop, and changing colors beside it (of gray \
        images brightness and contrast) keeps the network from recognizing crops by their brightness.
        """
    let paper = "Chen, Kornblith, Norouzi and Hinton 2020, section 3, figure 5 and table 1"
    let minutes = 30.0
    let criteria = [
        Criterion(
            "learned", "accuracy of the probe: crop with color minus the untrained encoder",
            .above(0.01), isCondition: true),
        Criterion(
            "pairs",
            "what the best second change adds to the probe's accuracy, mean over single changes",
            .above(0.01)),
        Criterion("crop", "best pair with a crop minus best pair without", .above(0)),
        Criterion("color", "crop with color minus crop alone", .above(0)),
    ]

    private let names = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
    private let strengths: [Float] = [0, 0.25, 0.5, 1]
    private let color = 2

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let isGray = try lab.data().input[0] == 1
        let data = try isGray ? scattered(lab.data()) : lab.data()
        let usual = try lab.pretraining(on: data)
        func job(_ label: String, _ view: Augmentation) -> PretrainingJob {
            var recipe = usual
            recipe.views = [view, view]
            return PretrainingJob(label, recipe)
        }
        let cells = names.indices.flatMap { row in (row..<names.count).map { (row, $0) } }
        let grid = try cells.map { row, column in
            let parts = row == column ? [names[row]] : [names[row], names[column]]
            return job(parts.joined(separator: " + "), try view(parts))
        }
        let between = try strengths[1...2].map { strength in
            var view = try view(["crop"])
            view.operations = [.simCLRColor(strength: strength, probability: 1)]
            return job("color \(NumberText.short(Double(strength)))", view)
        }
        let all = try lab.pretrain(grid + between + [.untrained(usual)], on: data)
        func cell(_ a: Int, _ b: Int) -> PretrainedJob {
            let place = cells.firstIndex { $0 == (min(a, b), max(a, b)) } ?? 0
            return all[place]
        }
        func best(_ pairs: [(Int, Int)]) -> Estimate {
            pairs.map { cell($0, $1) }.best?.probe ?? Estimate([])
        }
        let pairs = cells.filter { $0.0 != $0.1 }
        let gains = names.indices.map { own in
            best(pairs.filter { $0.0 == own || $0.1 == own }) - cell(own, own).probe
        }
        findings.measured["learned"] = cell(0, color).probe - all[all.count - 1].probe
        findings.measured["pairs"] = Estimate(
            lab.seeds.indices.map { seed in
                gains.reduce(0) { $0 + $1.values[seed] } / Double(gains.count)
            }, resolution: gains[0].resolution)
        findings.measured["crop"] =
            best(pairs.filter { $0.0 == 0 }) - best(pairs.filter { $0.0 != 0 })
        findings.measured["color"] = cell(0, color).probe - cell(0, 0).probe

        let colored =
            [cell(0, 0)] + Array(all[cells.count..<cells.count + 2]) + [cell(0, color)]
        findings.figures = [
            .heat(
                HeatChart(
                    "Linear probes by what changes the views (single changes on the diagonal)",
                    label: "accuracy of the linear probe, %", rows: ("first change", names),
                    columns: ("second change", names),
                    values: names.indices.map { row in
                        names.indices.map { 100 * cell(row, $0).probe.mean }
                    })),
            .lines(
                LineChart(
                    "A crop with changes of color", x: Axis("strength of the change of color"),
                    y: .percent("accuracy of the linear probe"),
                    series: [
                        LineChart.Series(
                            "crop with color",
                            zip(strengths, colored).map {
                                LineChart.Point(Double($0), $1.probe / .exact(0.01))
                            })
                    ])),
        ]
        let shown = all.sorted { $0.probe.mean > $1.probe.mean }
        findings.comparison = DataTable(
            ["changes", "probe, %", "contrastive accuracy, %", "paper, ImageNet"],
            shown.map {
                [
                    $0.job.label, TrainedJob.percent($0.probe),
                    $0.job.length > 0 ? TrainedJob.percent($0.contrastive) : "",
                    $0.job.label == "crop + color" ? "the best pair" : "",
                ]
            })
        findings.setup =
            LabContext.pretrainingSetup() + [
                "Both views are changed by what is named and nothing else, always; pixels in the order "
                    + "of the names, after the crop. The paper changes only one view and crops all "
                    + "images first.",
                "Sobel filters are not random: alone they make both views the same, which leaves "
                    + "nothing to learn from.",
            ]
        findings.remarks = all.divergences
        if isGray {
            findings.setup.append(
                "The claim is about photographs, which show things of any size anywhere. Gray sets of "
                    + "small images show them centered and as large as the image, so each image was drawn at "
                    + "0.6 to 1 of its size somewhere on a canvas 4 pixels larger.")
            findings.remarks.append(
                "These images are gray: color is brightness and contrast here. Colors themselves, by "
                    + "which the paper's networks recognize crops, take --data cifar10:DIR, whose "
                    + "images are taken as they are.")
        }
        return findings
    }

    private func scattered(_ data: LabData) throws -> LabData {
        try data.mapped("\(data.name), scattered") { Scattered($0, margin: 2) }
    }

    /// Blur is wider than for photographs, of which a tenth of the side is enough.
    private func view(_ parts: [String]) throws -> Augmentation {
        var view = try Augmentation.composed(of: parts)
        view.operations = view.operations.map {
            if case .blur(let sigma, _, let probability) = $0 {
                return .blur(sigma: sigma, kernel: 0.4, probability: probability)
            }
            return $0
        }
        return view
    }
}
