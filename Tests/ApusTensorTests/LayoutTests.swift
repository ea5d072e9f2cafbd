import ApusTensor
import Testing

@Suite struct LayoutTests {
    @Test func blockedLayoutsPadChannels() {
        #expect(Layout.blocked(16).storageCount([2, 3, 5, 7]) == 2 * 16 * 5 * 7)
        #expect(Layout.blocked(8).storageCount([2, 24, 5, 7]) == 2 * 24 * 5 * 7)
        #expect(Layout.plain.storageCount([2, 3, 5, 7]) == 210)
    }

    @Test func arenasAreAlignedAndZero() {
        let arena = Arena(count: 1000)
        #expect(UInt(bitPattern: arena.base) % UInt(Arena.alignment) == 0)
        #expect(arena.buffer.allSatisfy { $0 == 0 })
    }
}
