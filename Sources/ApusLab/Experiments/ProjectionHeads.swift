import ApusReport
import ApusTraining

/// What stands between the representation and the loss of pretraining decides what the representation
/// keeps.
struct ProjectionHeads: Experiment {
    let name = "projection-head"
    let title = "A head that is thrown away"
    let claim = """
        A head between the representation h and the contrastive loss makes h better, although it is \
        thrown away afterwards: two layers with a rectifier are better than a linear one, and that is \
        better than none. What comes out of the head, z, is worse to read classes from than h: it has \
        lost what the views do not share.
        """
    let paper = "Chen, Kornblith, Norouzi and Hinton 2020, section 4.2 and figure 8"
    let minutes = 13.0
    let criteria = [
        Criterion(
            "learned", "accuracy of the probe: non-linear head minus the untrained encoder",
            .above(0.01), isCondition: true),
        Criterion(
            "nonlinear", "accuracy of the probe: non-linear head minus linear head", .above(0)),
        Criterion("none", "non-linear head minus none", .above(0.01)),
        Criterion("linear", "linear head minus none", .above(0)),
        Criterion(
            "layer", "with the non-linear head: probe of h minus probe of z", .above(0.02)),
    ]

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        let heads: [(String, ProjectionHead)] = [
            ("none", .identity), ("linear, 32", .linear(dimension: 32)),
            ("linear, 128", .linear(dimension: 128)),
            ("two layers, 32", .mlp(layers: 2, width: 128, dimension: 32)),
            ("two layers, 128", .mlp(layers: 2, width: 128, dimension: 128)),
        ]
        let jobs = try heads.map { name, head in
            var job = PretrainingJob(name, try lab.pretraining(head: head))
            job.probesProjection = true
            return job
        }
        let all = try lab.pretrain(jobs + [.untrained(lab.pretraining())])
        let trained = Array(all.dropLast())
        let (none, linear, nonlinear) = (trained[0], trained[1], trained[3])
        findings.measured["learned"] = nonlinear.probe - all[all.count - 1].probe
        findings.measured["nonlinear"] = nonlinear.probe - linear.probe
        findings.measured["none"] = nonlinear.probe - none.probe
        findings.measured["linear"] = linear.probe - none.probe
        findings.measured["layer"] = nonlinear.probe - nonlinear.projectionProbe

        findings.figures = [
            .bars(
                BarChart(
                    "Linear probes before and behind the head",
                    y: .percent("accuracy of the linear probe"), groups: trained.map(\.job.label),
                    series: [
                        BarChart.Series(
                            "h, before the head",
                            trained.map { BarChart.Bar($0.probe / .exact(0.01)) }),
                        BarChart.Series(
                            "z, behind it",
                            trained.map { BarChart.Bar($0.projectionProbe / .exact(0.01)) }),
                    ])), trained.curves(),
        ]
        // Differences in top-1 on ImageNet that the paper states.
        let published = [
            "over 10 below non-linear", "about 3 below non-linear", "about 3 below non-linear",
            "h over 10 above z", "h over 10 above z", "",
        ]
        findings.comparison = DataTable(
            ["head, dimensions of z", "probe of h, %", "probe of z, %", "paper, ImageNet"],
            all.enumerated().map { index, job in
                [
                    job.job.label, TrainedJob.percent(job.probe),
                    job.job.probesProjection ? TrainedJob.percent(job.projectionProbe) : "",
                    published[index],
                ]
            })
        findings.setup = LabContext.pretrainingSetup()
        findings.remarks =
            [
                "Criteria are about heads to 32 dimensions, half of what the encoder gives; the others "
                    + "show that it is not the number of dimensions that matters."
            ] + all.divergences
        return findings
    }
}
