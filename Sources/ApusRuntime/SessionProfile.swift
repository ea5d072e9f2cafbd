import ApusGraph

/// How long every step of a session takes.
public struct SessionProfile: Sendable {
    public struct Step: Sendable {
        public let node: Node
        /// The library's name of the kernel; nil for our own passes.
        public let kernel: String?
        /// The median over the rounds.
        public let seconds: Double
    }

    /// In the order they run.
    public let steps: [Step]

    /// Runs the program `rounds` times, on whatever its inputs hold.
    public init(_ session: Session, rounds: Int) {
        precondition(rounds >= 1)
        let runs = (0..<rounds).map { _ in session.profile() }
        steps = runs[0].indices.map { index in
            let seconds = runs.map { $0[index].seconds }.sorted()
            return Step(
                node: runs[0][index].node, kernel: runs[0][index].kernel,
                seconds: seconds[rounds / 2])
        }
    }
}
