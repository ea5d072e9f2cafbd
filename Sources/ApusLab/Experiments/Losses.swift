import ApusReport
import ApusTraining

/// Which loss makes views of one image similar matters: weighing all negatives by how hard they are is
/// what the others lack.
struct Losses: Experiment {
    let name = "losses"
    let title = "Losses of contrastive learning"
    let claim = """
        The cross entropy over all other images (NT-Xent) gives representations that no other loss \
        betters: the logistic loss and the margin loss, which do not weigh negatives by how hard they \
        are, stay behind. Picking semi-hard negatives helps the margin loss.
        """
    let paper = "Chen, Kornblith, Norouzi and Hinton 2020, section 5.1, tables 2 and 4"
    let minutes = 14.0
    let criteria = [
        Criterion(
            "learned", "accuracy of the probe: NT-Xent minus the untrained encoder", .above(0.01),
            isCondition: true),
        Criterion("logistic", "accuracy of the probe: NT-Xent minus NT-Logistic", .above(0)),
        Criterion("margin", "NT-Xent minus the margin loss", .above(0)),
        Criterion("semi-hard", "NT-Xent minus the semi-hard margin loss", .above(-0.005)),
        Criterion("mining", "semi-hard margin minus plain margin", .above(0)),
    ]

    /// Deeper than usual: features of 8 layers are good untrained and soon as good as they get, whatever
    /// teaches them.
    private let layers = 14

    func run(_ lab: LabContext) throws -> Findings {
        var findings = Findings()
        // Every loss gets two settings and counts with the better one. Top-1 of the paper, ImageNet.
        let families: [(name: String, losses: [(String, ContrastiveLoss)], published: String)] = [
            (
                "NT-Xent",
                [("0.2", .ntXent(temperature: 0.2)), ("0.5", .ntXent(temperature: 0.5))], "63.9"
            ),
            (
                "NT-Logistic",
                [("0.2", .ntLogistic(temperature: 0.2)), ("1", .ntLogistic(temperature: 1))],
                "51.6 (57.9 with semi-hard negatives)"
            ),
            ("margin", [("0.4", .margin(0.4)), ("0.8", .margin(0.8))], "50.9"),
            (
                "semi-hard",
                [("0.4", .semiHard(margin: 0.4)), ("0.8", .semiHard(margin: 0.8))], "57.5"
            ),
        ]
        let usual = try lab.pretraining(layers: layers)
        let jobs = families.flatMap { family in
            family.losses.map { setting, loss in
                var recipe = usual
                recipe.loss = loss
                return PretrainingJob("\(family.name), \(setting)", recipe)
            }
        }
        let all = try lab.pretrain(jobs + [.untrained(usual)])
        let best = families.indices.map { family in
            let own = Array(all[2 * family..<2 * family + 2])
            return own.best ?? own[0]
        }
        findings.measured["learned"] = best[0].probe - all[all.count - 1].probe
        for (index, key) in [(1, "logistic"), (2, "margin"), (3, "semi-hard")] {
            findings.measured[key] = best[0].probe - best[index].probe
        }
        findings.measured["mining"] = best[3].probe - best[2].probe

        findings.figures = [
            all.bars("What a linear probe reads after training with each loss"), best.curves(),
        ]
        findings.comparison = DataTable(
            ["loss, better setting", "probe, %", "contrastive accuracy, %", "paper, ImageNet, %"],
            families.indices.map { index in
                [
                    best[index].job.label, TrainedJob.percent(best[index].probe),
                    TrainedJob.percent(best[index].contrastive), families[index].published,
                ]
            })
        findings.setup =
            LabContext.pretrainingSetup(layers: layers) + [
                "Every loss is tried with two temperatures or margins (the number behind its name), "
                    + "and counts with the one that is better on average over the seeds."
            ]
        findings.remarks =
            [
                "Values of different losses cannot be compared; the curve of contrastive accuracy "
                    + "can."
            ] + all.divergences
        return findings
    }
}
