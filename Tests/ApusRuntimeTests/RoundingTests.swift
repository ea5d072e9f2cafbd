import ApusRuntime
import ApusTensor
import CKernels
import Testing

/// Sums of brain floats are stored as the nearest, those in the middle as the even one, by kernels for blocks of 16,
/// which have an instruction for it, and of 8, which have not.
@Suite(.enabled(if: Machine.hasBFloat16)) struct RoundingTests {
    private func nearest(_ value: Float) -> UInt16 {
        if value.isNaN { return 0x7FC0 }
        let (below, rest) = (value.bitPattern >> 16, value.bitPattern & 0xFFFF)
        let isUp = rest > 0x8000 || rest == 0x8000 && below % 2 == 1
        return UInt16(truncatingIfNeeded: below + (isUp ? 1 : 0))
    }

    private func value(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

    @Test(arguments: [8, 16], [false, true])
    func sumsAreStoredAsTheNearest(block: Int, streams: Bool) {
        let count = 1 << 16
        let key = RandomKey(seed: 5)
        // Two numbers of 8 binary digits whose exponents differ by one or two: many sums are in the middle.
        func number(_ i: Int, exponents: Range<Int>) -> UInt16 {
            let exponent = 127 + exponents.lowerBound + key.integer(below: exponents.count, at: i)
            let sign = key.child("sign").integer(below: 2, at: i) << 15
            return UInt16(sign | exponent << 7 | key.child("digits").integer(below: 128, at: i))
        }
        var x = (0..<count).map { number($0, exponents: 0..<3) }
        var r = (count..<2 * count).map { number($0, exponents: 0..<3) }
        // Infinite sums, those that become infinite by rounding, and those that are none.
        x[0...5] = [0x7F80, 0xFF80, 0x7F80, 0x7F7F, 0x7FC0, 0x0000]
        r[0...5] = [0x3F80, 0x3F80, 0xFF80, 0x7B00, 0x3F80, 0x8000]
        let y = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: count + 32)
        defer { y.deallocate() }
        let start = UnsafeMutableRawPointer(y.baseAddress!).alignedUp(toMultipleOf: 64)
        let ones = [Float](repeating: 1, count: 16)
        let zeros = [Float](repeating: 0, count: 16)
        apus_normalize(
            apus_format(block: block, type: apus_bfloat16), x, r, zeros, ones, zeros, nil, start,
            nil, nil, streams, apus_identity, 1, 1, count / block, 0, 1)
        let stored = start.assumingMemoryBound(to: UInt16.self)
        var ties = 0
        for i in 0..<count {
            let sum = value(x[i]) + value(r[i])
            if sum.bitPattern & 0xFFFF == 0x8000 { ties += 1 }
            let isSame =
                sum.isNaN ? value(stored[i]).isNaN : stored[i] == nearest(sum)
            #expect(isSame, "\(value(x[i])) + \(value(r[i])) is \(value(stored[i]))")
        }
        #expect(ties > count / 20)
    }
}
