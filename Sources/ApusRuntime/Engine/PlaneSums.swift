import CKernels

// What passes over images yield for every plane (a channel block of an image), joined over the images of a batch. The
// order is fixed, so the results do not depend on the number of threads.

/// Calls `body` with both sums over all images for every channel of these blocks.
func forEachChannel(
    _ partial: UnsafePointer<Float>, _ blocks: Range<Int>, images: Int, perImage: Int, block: Int,
    channels: Int, _ body: (_ channel: Int, _ sum: Double, _ product: Double) -> Void
) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * block) { sums in
        for index in blocks {
            let first = index * block
            apus_join_sums(
                partial + first * 2, images, perImage * 2 * block, block, sums.baseAddress)
            for lane in 0..<min(block, channels - first) {
                body(first + lane, sums[lane], sums[block + lane])
            }
        }
    }
}

/// Mean and variance from the planes' sums and squared deviations.
func mergeStatistics(
    _ partial: UnsafePointer<Float>, images: Int, perImage: Int, block: Int, pixels: Int,
    channels: Range<Int>, _ mean: UnsafeMutablePointer<Float>,
    _ variance: UnsafeMutablePointer<Float>
) {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * block) { joined in
        guard let lanes = joined.baseAddress else { return }
        for first in stride(from: channels.lowerBound, to: channels.upperBound, by: block) {
            apus_join_statistics(
                partial + first * 2, images, perImage * 2 * block, pixels, block, lanes,
                lanes + block)
            for lane in 0..<min(block, channels.upperBound - first) {
                mean[first + lane] = Float(lanes[lane])
                variance[first + lane] = Float(lanes[block + lane])
            }
        }
    }
}
