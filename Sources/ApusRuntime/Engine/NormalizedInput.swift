import ApusGraph
import ApusTensor

/// What a 1x1 convolution's kernels do to the image they read: `normalize`, and rectify what comes of it.
struct NormalizedInput {
    let channels: Int
    let epsilon: Float
    let rectifies: Bool
    let gamma: UnsafeMutablePointer<Float>
    let beta: UnsafeMutablePointer<Float>
    let mean: UnsafeMutablePointer<Float>
    let variance: UnsafeMutablePointer<Float>
    /// Channel blocks of the image in memory, the first of which are read.
    let blocks: Int

    private var padded: Int { channels.roundedUp(to: 16) }

    /// Floats of the vectors that kernels read, in whole cache lines.
    var vectorCount: Int { 3 * padded }

    /// Writes them.
    func fill(_ vectors: UnsafeMutablePointer<Float>) {
        ChannelVectors(vectors, padded).fill(
            0..<channels, mean, variance, gamma, beta, epsilon)
    }
}
