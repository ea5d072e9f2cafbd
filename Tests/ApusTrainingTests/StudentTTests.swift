import Testing

import ApusTraining

@Suite struct StudentTTests {
    /// Tables of Student's t distribution, two-sided 95 %.
    @Test(
        arguments: [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423)])
    func quantilesAreThoseOfTables(freedom: Int, expected: Double) {
        #expect(abs(StudentT.quantile(0.975, freedom: freedom) - expected) < 1e-4)
    }
}
