import ApusTensor
import Glibc

extension Arena {
    /// Zeroed memory in pages of 2 MiB where the system grants them, untouched until it is used.
    ///
    /// Convolutions walk over hundreds of mebibytes, for which pages of 4 KiB need many translations
    /// of addresses. What does not fill a large page is in small ones, so that a session takes no more
    /// memory than its plan says. Falls back to ordinary memory.
    static func largePages(count: Int) -> Arena {
        let page = 2 << 20
        let bytes = (count * MemoryLayout<Float>.stride).roundedUp(to: Int(getpagesize()))
        guard bytes >= page else { return Arena(count: count) }
        // One page more, so that the block can begin at a multiple of the page's size.
        let length = bytes + page
        guard
            let mapping = mmap(
                nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            mapping != MAP_FAILED
        else { return Arena(count: count) }
        let start = mapping.alignedUp(toMultipleOf: page)
        let before = start - mapping
        if before > 0 { munmap(mapping, before) }
        munmap(start + bytes, length - before - bytes)
        madvise(start, bytes, MADV_HUGEPAGE)
        return Arena(taking: start.bindMemory(to: Float.self, capacity: count), count: count) {
            _ in munmap(start, bytes)
        }
    }
}
