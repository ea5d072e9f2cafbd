import Testing

import ApusLab

@Suite("Estimates and verdicts")
struct EstimateTests {
    @Test("The interval of three values")
    func interval() throws {
        let estimate = Estimate([1, 2, 3])
        #expect(estimate.mean == 2 && estimate.deviation == 1)
        // 2 +- 4.3027 / sqrt(3)
        #expect(abs(estimate.interval.lowerBound - (2 - 2.48414)) < 1e-4)
        #expect(abs(estimate.interval.upperBound - (2 + 2.48414)) < 1e-4)
    }

    @Test("One seed says nothing of others, an exact value everything")
    func ends() {
        #expect(Estimate([0.5]).interval == -.infinity ... .infinity)
        #expect(Estimate([]).interval == -.infinity ... .infinity)
        #expect(Estimate([1, .nan]).interval == -.infinity ... .infinity)
        #expect(Estimate.exact(0.5).interval == 0.5...0.5)
    }

    @Test("Seeds that agree are no more exact than what was counted")
    func resolution() {
        let error = Estimate([0.5, 0.5, 0.5], resolution: 0.25)
        #expect(error.interval == 0.25...0.75)
        #expect((error - error).interval == -0.5...0.5)
        #expect((error / .exact(0.5)).interval == 0.5...1.5)
        #expect(Estimate([0, 100], resolution: 1).interval.upperBound > 600)
    }

    @Test("Differences are taken seed by seed")
    func pairs() {
        let difference = Estimate([10, 20, 30]) - Estimate([9, 19, 29])
        #expect(difference.values == [1, 1, 1])
        #expect((Estimate([1, 2]) / .exact(0.5)).values == [2, 4])
        #expect((Estimate.exact(3) - .exact(1)).isExact)
        #expect(!(Estimate([3, 4]) - .exact(1)).isExact)
    }

    @Test("A criterion holds with the whole interval, and fails without any of it")
    func criteria() {
        let above = Criterion("", "", .above(1))
        #expect(above.judge(Estimate([5, 5.1, 5.2])) == .holds)
        #expect(above.judge(Estimate([0, 0.1, 0.2])) == .fails)
        #expect(above.judge(Estimate([0, 2, 4])) == .undecided)
        #expect(above.judge(Estimate([5])) == .undecided)
        #expect(above.judge(nil) == .undecided)
        let between = Criterion("", "", .between(-1, 1))
        #expect(between.judge(.exact(0)) == .holds)
        #expect(between.judge(.exact(2)) == .fails)
        #expect(Criterion("", "", .below(1)).judge(.exact(.nan)) == .undecided)
    }

    @Test("One criterion that fails decides, unless the run was too short to judge")
    func verdicts() {
        let plain = Criterion("", "", .above(0))
        let condition = Criterion("", "", .above(0), isCondition: true)
        #expect(Verdict.all([plain, plain], [.holds, .holds]) == .holds)
        #expect(Verdict.all([plain, plain], [.holds, .undecided]) == .undecided)
        #expect(Verdict.all([plain, plain], [.undecided, .fails]) == .fails)
        #expect(Verdict.all([condition, plain], [.fails, .fails]) == .undecided)
        #expect(Verdict.all([condition, plain], [.undecided, .holds]) == .undecided)
        #expect(Verdict.all([condition, plain], [.holds, .fails]) == .fails)
        #expect(Verdict.all([], []) == .undecided)
    }
}
