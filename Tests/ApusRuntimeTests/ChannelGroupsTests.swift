import ApusRuntime
import Synchronization
import Testing

@Suite struct ChannelGroupsTests {
    @Test(arguments: [(1, 1), (1, 7), (5, 1), (3, 10), (2, 64)], [1, 2, 3])
    func passesTouchEveryPlaneOnce(_ image: (images: Int, perImage: Int), threads: Int) {
        let (images, perImage) = image
        for bytes in [64, 100_000, 400_000, 10_000_000] {
            let groups = ChannelGroups(
                images: images, perImage: perImage, bytes: bytes, Team(threads: threads))
            #expect((1...perImage).contains(groups.width))
            for backwards in [false, true] {
                let touched = Mutex([Int](repeating: 0, count: images * perImage))
                groups.forEach { blocks in
                    groups.split(blocks, backwards: backwards) { begin, end in
                        touched.withLock { for plane in begin..<end { $0[plane] += 1 } }
                        #expect(blocks.contains(begin % perImage))
                        #expect(blocks.contains((end - 1) % perImage))
                    }
                }
                #expect(touched.withLock { $0 } == [Int](repeating: 1, count: images * perImage))
            }
        }
    }

    @Test func groupsFitIntoTheCaches() {
        let team = Team(threads: 2)
        // 32 images of 28x28 pixels in 32-bit floats: 1.6 MB a block.
        #expect(ChannelGroups(images: 32, perImage: 16, bytes: 28 * 28 * 64, team).width == 1)
        // 14x14: 0.4 MB a block, of which two fit.
        #expect(ChannelGroups(images: 32, perImage: 16, bytes: 14 * 14 * 64, team).width == 2)
        #expect(ChannelGroups(images: 1, perImage: 16, bytes: 7 * 7 * 64, team).width == 16)
    }
}
