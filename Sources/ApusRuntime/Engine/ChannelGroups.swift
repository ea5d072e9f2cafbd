/// The channel blocks of images in groups, normalized one after the other: all images of a batch are
/// summed up before the first can be written, and groups are so narrow that the caches still hold
/// what this second pass reads again.
package struct ChannelGroups {
    let images: Int
    /// Channel blocks of an image.
    let perImage: Int
    /// Channel blocks of a group.
    package let width: Int
    private let team: Team

    /// Half of a usual second-level cache: the other half is for what is read or written once.
    private static let bytesPerThread = 512 << 10

    /// `bytes` are those of a plane that are read twice.
    package init(images: Int, perImage: Int, bytes: Int, _ team: Team) {
        self.images = images
        self.perImage = perImage
        self.team = team
        let fitting = max(1, ChannelGroups.bytesPerThread * team.threads / max(1, images * bytes))
        let groups = (perImage + fitting - 1) / fitting
        width = (perImage + groups - 1) / groups
    }

    /// Calls `body` for one group after the other.
    package func forEach(_ body: (_ blocks: Range<Int>) -> Void) {
        for first in stride(from: 0, to: perImage, by: width) {
            body(first..<min(first + width, perImage))
        }
    }

    /// Shares out the planes of a group; `body` gets ranges of planes. `backwards` begins with the last
    /// image, of which the caches hold most.
    package func split(
        _ blocks: Range<Int>, backwards: Bool = false, _ body: (_ begin: Int, _ end: Int) -> Void
    ) {
        team.split(images * blocks.count) { begin, end in
            let touched = begin / blocks.count...(end - 1) / blocks.count
            for step in 0..<touched.count {
                let image = backwards ? touched.upperBound - step : touched.lowerBound + step
                let before = image * blocks.count
                let plane = image * perImage + blocks.lowerBound
                body(plane + max(begin - before, 0), plane + min(end - before, blocks.count))
            }
        }
    }
}
