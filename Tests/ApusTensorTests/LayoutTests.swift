import ApusTensor
import Testing

@Suite struct LayoutTests {
    @Test func blockedLayoutsPadChannels() {
        #expect(Layout.blocked(16).storageCount([2, 3, 5, 7]) == 2 * 16 * 5 * 7)
        #expect(Layout.blocked(8).storageCount([2, 24, 5, 7]) == 2 * 24 * 5 * 7)
        #expect(Layout.plain.storageCount([2, 3, 5, 7]) == 210)
    }

    @Test func bitsFillWords() {
        #expect(Layout.bits(16).storageCount([2, 3, 5, 7]) == 2 * 35 / 2)
        // 105 bytes and three more.
        #expect(Layout.bits(8).storageCount([1, 24, 5, 7]) == 27)
    }

    /// Small ones, and those in large pages: of one, and of more than one with a rest.
    @Test(arguments: [0, 1000, 1 << 19, 3 << 18 | 5]) func arenasAreAlignedAndZero(count: Int) {
        for _ in 0..<2 {
            let arena = Arena(count: count)
            let alignment = count < 1 << 19 ? Arena.alignment : 2 << 20
            #expect(UInt(bitPattern: arena.base) % UInt(alignment) == 0)
            #expect(arena.buffer.count == count)
            #expect(arena.buffer.allSatisfy { $0 == 0 })
            // The next one must not find these.
            arena.buffer.update(repeating: 1)
        }
    }
}
