/// One row of an architecture: so many blocks with so many channels, in the unit of its family.
public struct Stage: Hashable, Codable, Sendable {
    /// Blocks, or layers of a dense block.
    public var depth: Int
    /// Channels, or the growth rate of a dense block.
    public var width: Int
    /// What scaling leaves alone: a stem is one convolution however deep the network.
    public var fixedDepth: Bool
    public var fixedWidth: Bool

    public init(_ depth: Int, _ width: Int, fixedDepth: Bool = false, fixedWidth: Bool = false) {
        self.depth = depth
        self.width = width
        self.fixedDepth = fixedDepth
        self.fixedWidth = fixedWidth
    }

    /// The single convolution before or behind the blocks.
    static func single(_ width: Int, fixedWidth: Bool = false) -> Stage {
        Stage(1, width, fixedDepth: true, fixedWidth: fixedWidth)
    }

    /// The stage with more blocks (rounded up) and channels (rounded to multiples of `divisor`).
    func scaled(_ factors: ScaleFactors, divisor: Int) -> Stage {
        var stage = self
        if !fixedDepth { stage.depth = Stage.blocks(depth, factors.depth) }
        if !fixedWidth { stage.width = Stage.channels(width, factors.width, divisor: divisor) }
        return stage
    }

    /// `base * factor` rounded up, as far as the factor is exact.
    package static func blocks(_ base: Int, _ factor: Double) -> Int {
        max(1, Int((Double(base) * factor - 1e-9).rounded(.up)))
    }

    /// `base * factor` rounded to the nearest multiple of `divisor`, never below 90 % of it; a factor
    /// of 1 keeps any number.
    package static func channels(_ base: Int, _ factor: Double, divisor: Int) -> Int {
        if factor == 1 { return base }
        let exact = Double(base) * factor
        let rounded = max(divisor, Int(exact + Double(divisor) / 2) / divisor * divisor)
        return Double(rounded) < 0.9 * exact ? rounded + divisor : rounded
    }
}
