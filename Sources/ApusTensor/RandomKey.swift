/// A counter-based source of random numbers: every number is a pure function of the key and a
/// counter, so results never depend on which thread asked first.
///
/// A key is refined by what is being drawn, as in
/// `RandomKey(seed: 7).child("augment").child(epoch).child(sample)`, and then read at counters
/// 0, 1, 2, ... The mixing function is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
public struct RandomKey: Hashable, Codable, Sendable {
    public var state: UInt64

    /// The key with exactly this state.
    public init(state: UInt64) { self.state = state }

    /// The root key of a run.
    public init(seed: UInt64) { state = RandomKey.mix(seed &+ RandomKey.increment) }

    private static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// FNV-1a, 64 bits, of the UTF-8 bytes of `name`.
    public static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    /// The key for one numbered item below this one: an epoch, a sample, a view.
    public func child(_ index: Int) -> RandomKey {
        RandomKey(state: RandomKey.mix(state ^ RandomKey.mix(UInt64(bitPattern: Int64(index)))))
    }

    /// The key for one named purpose below this one: "shuffle", "crop", a parameter's name.
    public func child(_ name: String) -> RandomKey {
        RandomKey(state: RandomKey.mix(state &+ RandomKey.hash(name)))
    }

    /// 64 random bits.
    @inline(__always)
    public func bits(at counter: Int) -> UInt64 {
        RandomKey.mix(state &+ (UInt64(bitPattern: Int64(counter)) &+ 1) &* RandomKey.increment)
    }

    /// A number in 0..<1, a multiple of 2^-24.
    @inline(__always)
    public func uniform(at counter: Int) -> Float {
        Float(bits(at: counter) >> 40) * 0x1p-24
    }

    /// A number in `range`.
    public func uniform(in range: ClosedRange<Float>, at counter: Int) -> Float {
        range.lowerBound + (range.upperBound - range.lowerBound) * uniform(at: counter)
    }

    /// A number in 0..<bound without bias worth mentioning (bound / 2^64).
    public func integer(below bound: Int, at counter: Int) -> Int {
        precondition(bound > 0)
        return Int(bits(at: counter).multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// The numbers 0..<count in random order (Fisher-Yates).
    public func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for i in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(i, integer(below: i + 1, at: i))
        }
        return order
    }
}
