import ApusTensor
import CKernels

/// The threads of oneDNN's OpenMP runtime, shared with our own kernels: no second pool.
///
/// libgomp keeps a team for every calling thread, so a team is only used on the engine's thread.
package struct Team {
    /// Threads that share the work, the caller among them.
    package let threads: Int

    package init(threads: Int) { self.threads = threads }

    /// Makes `threads` the size of this thread's team and flushes denormals on every member.
    package func configure() {
        omp_set_num_threads(Int32(threads))
        run { _ in apus_flush_denormals() }
    }

    /// Calls `body` once on every member with its number and waits for all.
    package func run(_ body: (Int) -> Void) {
        guard threads > 1 else { return body(0) }
        withoutActuallyEscaping(body) { body in
            var box = TeamBody(call: body)
            withUnsafeMutablePointer(to: &box) { context in
                GOMP_parallel(teamMember, context, UInt32(threads), 0)
            }
        }
    }

    /// Splits 0..<count into one contiguous range a member.
    ///
    /// Work of less than `grain` units runs on the caller alone: waking the team costs microseconds.
    package func split(_ count: Int, grain: Int = 2, _ body: (_ begin: Int, _ end: Int) -> Void) {
        guard count >= grain, threads > 1 else { return body(0, count) }
        run { member in
            let begin = count * member / threads
            let end = count * (member + 1) / threads
            if begin < end { body(begin, end) }
        }
    }

    /// One contiguous range of 0..<count for every member, with its number; with fewer units than members, for the
    /// first of them only.
    package func share(
        _ count: Int, _ body: (_ member: Int, _ begin: Int, _ end: Int) -> Void
    ) {
        let shares = min(threads, count)
        run { member in
            guard member < shares else { return }
            body(member, count * member / shares, count * (member + 1) / shares)
        }
    }

    /// Writes zeros to all of an arena, by which it gets its pages: work that comes first would be timed with that.
    package func clear(_ arena: Arena) {
        splitArray(arena.count) { begin, end in
            (arena.base + begin).update(repeating: 0, count: end - begin)
        }
    }

    /// Splits a flat array on cache lines.
    package func splitArray(_ count: Int, _ body: (_ begin: Int, _ end: Int) -> Void) {
        let line = Arena.alignment / MemoryLayout<Float>.stride
        split((count + line - 1) / line, grain: 256) { begin, end in
            body(begin * line, min(end * line, count))
        }
    }
}

private struct TeamBody { let call: (Int) -> Void }

private func teamMember(_ context: UnsafeMutableRawPointer?) {
    context?.assumingMemoryBound(to: TeamBody.self).pointee.call(Int(omp_get_thread_num()))
}
