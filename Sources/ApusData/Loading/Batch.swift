import ApusTensor

/// Images and labels for one step.
public struct Batch: Hashable, Sendable {
    /// `[views * N, C, H, W]`, normalized: the first views of all samples, then the second.
    public let images: Tensor
    /// How often every sample is seen in the batch.
    public let views: Int
    /// The class of every sample, N of them.
    public let labels: [Int32]
    /// Where the samples are in their source.
    public let samples: [Int]
    public let epoch: Int
    /// The position of the batch in its epoch.
    public let index: Int
}
