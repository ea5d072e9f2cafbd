import Glibc

/// Zeroed memory in pages of 2 MiB where the system grants them, untouched until it is used.
///
/// Convolutions and optimizers walk over hundreds of mebibytes, for which pages of 4 KiB need many
/// translations of addresses. What does not fill a large page is in small ones, so that memory is what was asked for.
enum LargePages {
    static let size = 2 << 20

    /// At least so many bytes. Without memory to map the process ends, as Swift's own allocations do.
    static func map(bytes: Int) -> UnsafeMutableRawPointer {
        let bytes = bytes.roundedUp(to: Int(getpagesize()))
        // One page more, so that the block can begin at a multiple of the page's size.
        let length = bytes + size
        guard
            let mapping = mmap(
                nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            mapping != MAP_FAILED
        else { fatalError("there are no \(bytes >> 20) MiB of memory left") }
        let start = mapping.alignedUp(toMultipleOf: size)
        let before = start - mapping
        if before > 0 { munmap(mapping, before) }
        munmap(start + bytes, length - before - bytes)
        madvise(start, bytes, MADV_HUGEPAGE)
        return start
    }

    static func unmap(_ start: UnsafeMutableRawPointer, bytes: Int) {
        munmap(start, bytes.roundedUp(to: Int(getpagesize())))
    }
}
