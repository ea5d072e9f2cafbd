import ApusTensor
import Testing

@Suite struct RandomKeyTests {
    @Test func followsTheReferenceFormula() {
        // splitmix64 from state 0: the published first outputs.
        let key = RandomKey(state: 0)
        #expect(key.bits(at: 0) == 0xE220_A839_7B1D_CDAF)
        #expect(key.bits(at: 1) == 0x6E78_9E6A_A1B9_65F4)
        #expect(RandomKey.hash("a") == 0xAF63_DC4C_8601_EC8C)
    }

    @Test func uniformNumbersAreUniform() {
        let key = RandomKey(seed: 3).child("test").child(5)
        let values = (0..<100_000).map { key.uniform(at: $0) }
        let mean = values.reduce(0, +) / 100_000
        let variance = values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 100_000
        #expect(abs(mean - 0.5) < 0.005)
        #expect(abs(variance - 1 / 12) < 0.002)
        #expect(values.allSatisfy { (0..<1).contains($0) })
    }

    @Test func siblingsDiffer() {
        let root = RandomKey(seed: 1)
        let keys = (0..<1000).map { root.child($0).state } + [root.child("x").state, root.state]
        #expect(Set(keys).count == keys.count)
    }

    @Test(arguments: [0, 1, 2, 17, 1000])
    func permutationHoldsEveryNumberOnce(count: Int) {
        let order = RandomKey(seed: 9).permutation(count)
        #expect(order.sorted() == Array(0..<count))
    }
}
