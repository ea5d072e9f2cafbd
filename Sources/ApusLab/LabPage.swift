import ApusReport
import Foundation

/// The pages of the lab, made from results alone.
enum LabPage {
    static func page(_ result: LabResult) -> Page {
        let findings = result.findings
        var body: [Markup] = [
            .element("p", ["class": "claim"], text: result.claim),
            Page.paragraph("The claim is of \(result.paper)."),
            badge(result.verdict, "This run: the claim \(result.verdict.words)."),
        ]
        if result.isSabotaged {
            body.append(
                Page.paragraph(
                    "This run was sabotaged on purpose: all shortcuts of residual networks were "
                        + "removed. It shows that the verdict depends on them."))
        }
        body.append(Page.heading("What decides"))
        body.append(
            Page.paragraph(
                "Written down before the run. A criterion holds if the whole 95 % interval over "
                    + "the seeds lies in its band, and does not hold if none of it does."
                    + (result.criteria.contains(where: \.isCondition)
                        ? " Unless a condition holds, the run is too short to judge." : "")))
        body.append(criteria(result).markup)
        if !findings.remarks.isEmpty { body += findings.remarks.map(Page.paragraph) }
        body.append(Page.heading("What there is to see"))
        body.append(Figure.grid(findings.figures))
        if !findings.comparison.columns.isEmpty {
            body.append(Page.heading("Beside the paper"))
            body.append(findings.comparison.markup)
        }
        body.append(Page.heading("What was run"))
        body.append(
            Page.list(
                findings.setup + result.plans + [
                    "Budget: \(NumberText.short(result.minutes)) minutes; the run took "
                        + "\(NumberText.short(result.seconds / 60)). Seeds: \(result.seeds). "
                        + "Data: \(result.data).",
                    "Machine: \(result.machine).",
                ]))
        body.append(Page.paragraph("To run it again:"))
        body.append(Page.code(result.command))
        return Page(result.title, body)
    }

    private static func badge(_ verdict: Verdict, _ words: String) -> Markup {
        .element("p", ["class": "verdict \(verdict.rawValue)"], text: words)
    }

    private static func criteria(_ result: LabResult) -> DataTable {
        DataTable(
            ["quantity", "must lie", "measured", "95 % interval", "so it"],
            zip(result.criteria, result.verdicts).map { criterion, verdict in
                let estimate = result.findings.measured[criterion.key]
                return [
                    (criterion.isCondition ? "condition: " : "") + criterion.quantity,
                    criterion.band.words,
                    estimate.map { NumberText.short($0.mean) } ?? "not at this budget",
                    estimate.map(interval) ?? "", verdict.words,
                ]
            })
    }

    static func interval(_ estimate: Estimate) -> String {
        if estimate.isExact { return "exact" }
        let interval = estimate.interval
        guard interval.lowerBound.isFinite else { return "unknown from one seed" }
        return
            "\(NumberText.short(interval.lowerBound)) to \(NumberText.short(interval.upperBound))"
    }

    /// All experiments with their verdicts.
    static func index(_ results: [LabResult]) -> Page {
        let holding = results.count { $0.verdict == .holds }
        var body: [Markup] = [
            Page.paragraph(
                "What papers on convolutional networks claim, tried on one machine. Every page says "
                    + "what was written down before the run, what was measured and what that "
                    + "means."),
            Page.paragraph("\(holding) of \(results.count) claims hold."),
        ]
        for result in results {
            body.append(
                .element(
                    "h2", [:],
                    [.element("a", ["href": "\(result.name)/index.html"], text: result.title)]))
            body.append(Page.paragraph(result.claim))
            body.append(
                badge(
                    result.verdict,
                    "\(result.verdict.words) (\(NumberText.short(result.minutes)) minutes, "
                        + "\(result.seeds) seeds)"))
        }
        for machine in Set(results.map(\.machine)).sorted() {
            body.append(Page.paragraph("Machine: \(machine)."))
        }
        return Page("The lab", body)
    }
}
