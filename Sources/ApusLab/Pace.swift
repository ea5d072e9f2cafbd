import ApusReport

/// How long runs took beside what their plan had measured. A plan made on a busy machine has fewer steps
/// than the budget has room for, which a page has to say.
package struct Pace: Codable {
    /// Seconds the training steps of the runs would take by the plan's measurement.
    package var planned = 0.0
    /// Seconds the runs took, tests and probes included.
    package var taken = 0.0

    package init() {}

    /// Adds a run that went to its end.
    package mutating func add(planned seconds: Double, taken duration: Duration) {
        planned += seconds
        taken += duration / .seconds(1)
    }

    /// What is added to the plan's words; nothing for a plan that was about right.
    package var remark: String {
        guard taken > 0, taken < 0.7 * planned else { return "" }
        return
            "; it took \(NumberText.short(taken / planned)) of the time that steps had been measured to "
            + "take: something else ran then, and a new plan (--out another folder) would have more"
    }
}
