/// Puts an image where the results of a convolution are added to it: the plan could not let them share.
final class CopyFirst: Step {
    private let step: any Step
    private let copy: () -> Void

    init(
        _ step: any Step, from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer,
        byteCount: Int, _ team: Team
    ) {
        self.step = step
        copy = {
            team.splitArray(byteCount) { begin, end in
                (to + begin).copyMemory(from: from + begin, byteCount: end - begin)
            }
        }
    }

    var implementation: String? { step.implementation }
    var convertedCount: Int { step.convertedCount }
    var keptBytes: Int { step.keptBytes }
    var primitives: [String] { step.primitives }
    var scratchBytes: Int { step.scratchBytes }
    func bind(scratch: UnsafeMutableRawPointer, converted: UnsafeMutablePointer<Float>) throws {
        try step.bind(scratch: scratch, converted: converted)
    }
    func run(_ context: RunContext) {
        copy()
        step.run(context)
    }
}
