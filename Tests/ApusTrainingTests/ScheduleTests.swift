import ApusTraining
import Testing

@Suite struct ScheduleTests {
    private func expectClose(
        _ schedule: Schedule, _ values: [(step: Int, rate: Float)], steps: Int,
        base: Float = 1, warmup: Int = 0
    ) {
        for (step, expected) in values {
            let rate = schedule.rate(base: base, step: step, steps: steps, warmup: warmup)
            #expect(abs(rate - expected) <= 1e-6 * base, "step \(step) of \(schedule)")
        }
    }

    @Test func constant() {
        expectClose(.constant, [(0, 0.3), (50, 0.3), (99, 0.3)], steps: 100, base: 0.3)
    }

    @Test func stepsAtFractionsOfTheRun() {
        expectClose(
            .step(at: [0.5, 0.75], factor: 0.1),
            [(0, 1), (49, 1), (50, 0.1), (74, 0.1), (75, 0.01), (99, 0.01)], steps: 100)
    }

    @Test func cosineFallsFromTheBaseTowardsZero() {
        expectClose(.cosine, [(0, 2), (50, 1), (100, 0)], steps: 100, base: 2)
        // (1 + cos(pi / 4)) / 2 and its complement.
        expectClose(.cosine, [(25, 0.8535534), (75, 0.1464466)], steps: 100)
        // One step before the end: (1 - cos(pi / 100)) / 2.
        expectClose(.cosine, [(99, 0.00024672)], steps: 100)
    }

    /// Computed by torch.optim.lr_scheduler.OneCycleLR(max_lr=1, pct_start=0.3).
    @Test func oneCycleMatchesPyTorch() {
        expectClose(
            .oneCycle(rise: 0.3),
            [
                (0, 0.04), (1, 0.52), (2, 1), (3, 0.9504846), (4, 0.8117457), (5, 0.6112620),
                (6, 0.3887420), (7, 0.1882583), (8, 0.0495194), (9, 4e-6),
            ], steps: 10)
        expectClose(
            .oneCycle(rise: 0.3),
            [
                (0, 0.04), (1, 0.0428138), (10, 0.2951639), (28, 0.9971862), (29, 1),
                (30, 0.9994965), (50, 0.7938935), (64, 0.5000020), (98, 0.0005075), (99, 4e-6),
            ], steps: 100)
    }

    @Test func warmupRisesLinearlyThenTheScheduleBegins() {
        expectClose(
            .cosine, [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1), (4, 1), (54, 0.5), (104, 0)],
            steps: 104, warmup: 4)
    }

    @Test(arguments: [Schedule.constant, .cosine, .oneCycle(rise: 0.3), .step(at: [0], factor: 2)])
    func shortRunsHaveRatesToo(schedule: Schedule) {
        for steps in 1...3 {
            for warmup in 0...4 {
                for step in 0..<steps {
                    let rate = schedule.rate(base: 1, step: step, steps: steps, warmup: warmup)
                    #expect(rate.isFinite && rate > 0 && rate <= 2, "\(step) of \(steps)")
                }
            }
        }
    }
}
