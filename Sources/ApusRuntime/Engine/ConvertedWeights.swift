import ApusTensor

/// The converted weights of several steps, behind each other in one block, so that they lie in large pages.
struct ConvertedWeights {
    private let arena: Arena
    /// In floats.
    private var offsets: [ObjectIdentifier: Int] = [:]

    init(_ steps: some Sequence<any Step>) {
        var end = 0
        for step in steps where step.convertedCount > 0 {
            offsets[ObjectIdentifier(step)] = end
            end += step.convertedCount.roundedUp(to: Arena.alignment / MemoryLayout<Float>.stride)
        }
        arena = Arena(count: end)
    }

    var byteCount: Int { arena.byteCount }

    /// Where a step's lie; the block's beginning if it has none.
    func base(of step: any Step) -> UnsafeMutablePointer<Float> {
        arena.base + (offsets[ObjectIdentifier(step)] ?? 0)
    }
}
