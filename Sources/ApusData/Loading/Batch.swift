import ApusTensor

/// Images and labels for one step.
public struct Batch: Hashable, Sendable {
    /// `[N, C, H, W]`, normalized.
    public let images: Tensor
    /// The class of every image.
    public let labels: [Int32]
    /// Where the images are in their source.
    public let samples: [Int]
    public let epoch: Int
    /// The position of the batch in its epoch.
    public let index: Int
}
