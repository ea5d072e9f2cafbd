import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining

/// A task that the identity solves: which of ten random numbers is the largest? A stack of blocks stands
/// between the numbers and the answer, so with shortcuts it begins solved and without it has to be
/// learned through every layer.
struct IdentityTask: Hashable, Codable {
    var blocks: Int
    var hasShortcuts: Bool
    var steps: Int

    private static let width = 10

    var network: Network {
        Network("identity", input: [IdentityTask.width, 1, 1]) {
            for index in 0..<blocks {
                // Each kind begins as suits it: layers in a chain at He's size, which keeps the
                // signal, layers beside a shortcut near zero.
                let last: Initializer =
                    hasShortcuts ? .normal(deviation: 0.01) : .heNormal(.in)
                let body: [Layer] = [
                    Convolution(IdentityTask.width, kernel: 1, initializer: .heNormal(.in)).layer,
                    Activation(.relu).layer,
                    Convolution(IdentityTask.width, kernel: 1, initializer: last).layer,
                ]
                if hasShortcuts {
                    Residual("block\(index)") { body }
                } else {
                    Sequence("block\(index)") { body }
                }
            }
            Flatten()
        }
    }

    /// The error on new numbers after training.
    func error(seed: UInt64, _ configuration: Session.Configuration) throws -> Double {
        let batch = 64
        let parameters = ParameterStore(
            try network.graph(batch: batch, mode: .training), seed: seed)
        let session = try Session.training(
            network, batch: batch, parameters: parameters, configuration: configuration)
        let optimizer = Optimizer(.defaultAdamW, for: parameters)
        let key = RandomKey(seed: seed).child("identity")
        for step in 0..<steps {
            let (images, labels) = IdentityTask.numbers(batch, key.child(step))
            try session.step(
                images: images, labels: labels, optimizer: optimizer,
                rate: 0.003 * Float(steps - step) / Float(steps), clip: 1)
        }
        let evaluator = try Evaluator(
            network, parameters: parameters, batch: batch, configuration: configuration)
        var wrong = 0
        for part in 0..<16 {
            let (images, labels) = IdentityTask.numbers(batch, key.child("test").child(part))
            let logits = evaluator.logits(images)
            wrong += labels.indices.count { row in
                let scores = logits.elements[row * Self.width..<(row + 1) * Self.width]
                let own = scores.startIndex + Int(labels[row])
                // A tie is no answer.
                return scores.indices.contains { $0 != own && scores[$0] >= scores[own] }
            }
        }
        return Double(wrong) / Double(16 * batch)
    }

    /// Numbers in -10..<10 and where the largest is: far enough apart to be sure of it as they are.
    private static func numbers(_ count: Int, _ key: RandomKey) -> (Tensor, [Int32]) {
        let values = (0..<count * width).map { 20 * key.uniform(at: $0) - 10 }
        let labels = (0..<count).map { row in
            let own = values[row * width..<(row + 1) * width]
            return Int32((own.indices.max { own[$0] < own[$1] } ?? own.startIndex) - row * width)
        }
        return (Tensor([count, width, 1, 1], values), labels)
    }
}

extension LabContext {
    private struct IdentityRequest: Hashable, Codable {
        var task: IdentityTask
        var seed: UInt64
    }

    /// The error at copying through so many blocks, once a seed.
    func copyError(blocks: Int, shortcuts: Bool, steps: Int) throws -> Estimate {
        let task = IdentityTask(
            blocks: blocks, hasShortcuts: shortcuts && !options.sabotage, steps: steps)
        return try Estimate(
            seeds.map { seed in
                try once("identity", IdentityRequest(task: task, seed: seed)) {
                    try task.error(seed: seed, configuration)
                }
            })
    }
}
