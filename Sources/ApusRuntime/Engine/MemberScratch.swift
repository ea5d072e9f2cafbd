/// Scratch memory of every member of a team, apart from that of the others.
///
/// A processor fetches ahead what lies behind the memory that it works on. Where that is another member's, which writes
/// it, both wait for each other: Strassen's algorithm on 224 channels of 56x56 pixels takes 16 ms side by side and
/// 12.2 with 16 KiB between (4 KiB do not suffice).
struct MemberScratch {
    /// Floats between two members.
    static let gap = 4096

    /// Floats of one member.
    let count: Int
    let threads: Int

    init(_ count: Int, _ team: Team) {
        self.count = count
        threads = team.threads
    }

    private var stride: Int { count == 0 ? 0 : Self.gap + count }

    /// Floats of all.
    var total: Int { stride * threads }

    /// A member's, in memory for all that begins with a gap.
    func of(_ member: Int, in start: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
        start + member * stride + (count == 0 ? 0 : Self.gap)
    }
}
