import Apus
import ArgumentParser

/// Which parameters learn, and how fast beside each other. None has a default here, as in
/// `TrainOptions`.
struct FineTuneOptions: ParsableArguments {
    @Option(
        help: """
            Keep these as they are, batch norms with their running statistics included: stem, \
            all-but-head, or the path of a layer, such as layer1; repeatable. (default: nothing)
            """)
    var freeze: [String] = []

    @Option(help: "Learning rate of all but the head, as a multiple of the head's. (default: 1)")
    var backboneRate: Float?

    @Option(
        help: """
            What the learning rate is multiplied by for every stage farther from the head. \
            (default: 1)
            """)
    var rateDecay: Float?

    func validate() throws {
        let words = ["stem", "all-but-head"]
        if freeze.count > 1, let word = freeze.first(where: words.contains) {
            throw ValidationError("--freeze \(word) stands alone; name layers to freeze several")
        }
        if freeze.contains("") { throw ValidationError("--freeze needs the path of a layer") }
        for (value, option) in [
            (backboneRate, "--backbone-rate"), (rateDecay, "--rate-decay"),
        ] {
            if let value, !(value > 0 && value <= 1) {
                throw ValidationError("\(option) must be above 0 and at most 1, not \(value)")
            }
        }
    }

    /// Puts what was given into a recipe.
    func apply(to recipe: inout Recipe) {
        switch freeze {
        case []: break
        case ["stem"]: recipe.fineTuning.frozen = .stem
        case ["all-but-head"]: recipe.fineTuning.frozen = .allButHead
        default: recipe.fineTuning.frozen = .layers(freeze)
        }
        recipe.fineTuning.backboneRate = backboneRate ?? recipe.fineTuning.backboneRate
        recipe.fineTuning.rateDecay = rateDecay ?? recipe.fineTuning.rateDecay
    }
}
