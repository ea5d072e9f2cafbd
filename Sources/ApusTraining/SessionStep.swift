import ApusGraph
import ApusRuntime
import ApusTensor

/// What one training step reports.
public struct StepResult: Hashable, Sendable {
    /// The mean loss of the batch.
    public let loss: Float
    /// Images whose highest logit is their label.
    public let correct: Int
    /// The norm of all gradients before clipping.
    public let gradientNorm: Float
}

/// The loss or the gradients of a step are not numbers; the parameters were left as they were.
public struct NotFiniteError: Error, Hashable, CustomStringConvertible {
    /// Counted from 1.
    public let step: Int
    public let loss: Float
    public let gradientNorm: Float

    public var description: String {
        let what =
            loss.isFinite
            ? "the norm of the gradients became \(gradientNorm)" : "the loss became \(loss)"
        return "\(what) in step \(step); lower the learning rate (--lr), warm up longer "
            + "(--warmup) or clip gradients (--clip 1)"
    }
}

extension Session {
    /// A session that trains `network` on batches of `batch` images, apart from the parameters called
    /// `frozen`.
    public static func training(
        _ network: Network, batch: Int, parameters: ParameterStore, smoothing: Float = 0,
        frozen: Set<String> = [], configuration: Configuration = Configuration()
    ) throws -> Session {
        try Session(
            network.lossGraph(batch: batch, smoothing: smoothing, frozen: frozen),
            parameters: parameters, differentiate: true, configuration: configuration)
    }

    /// One step of training: forward, backward, update. Images are [batch, channels, height,
    /// width], labels class indices below the network's number of classes.
    ///
    /// Throws a `NotFiniteError` before any parameter is changed.
    @discardableResult
    public func step(
        images: Tensor, labels: [Int32], optimizer: Optimizer, rate: Float, clip: Float? = nil,
        randomKey: RandomKey = RandomKey(seed: 0)
    ) throws -> StepResult {
        let classes = outputShape("logits")[1]
        precondition(
            labels.allSatisfy { (0..<Int32(classes)).contains($0) },
            "a label is not one of the network's \(classes) classes")
        setInput("images", images.elements)
        setInput("labels", labels.map(Float.init))
        run(randomKey: randomKey)
        let loss = output("loss").elements[0]
        // Known without clipping too: a gradient can overflow under a loss that is still finite.
        let norm = optimizer.gradientNorm(threads: threads)
        guard loss.isFinite, norm.isFinite else {
            throw NotFiniteError(step: optimizer.stepCount + 1, loss: loss, gradientNorm: norm)
        }
        let factor = clip.map { min(1, $0 / (norm + 1e-6)) } ?? 1
        optimizer.step(rate: rate, gradientFactor: factor, threads: threads)
        let correct = output("logits").countCorrect(labels)
        return StepResult(loss: loss, correct: correct, gradientNorm: norm)
    }
}

extension Session {
    /// The rows of an output [n, width] that belong to up to a whole batch of images.
    func rows(_ output: String, of images: Tensor) -> Tensor {
        let count = images.shape[0]
        let shape = inputShape("images")
        precondition(count <= shape[0], "\(count) images do not fit a batch of \(shape[0])")
        var elements = images.elements
        // Rows are independent in use: what fills an incomplete batch changes nothing.
        elements += [Float](repeating: 0, count: shape.count - elements.count)
        setInput("images", elements)
        run()
        let all = self.output(output)
        let width = all.shape[1]
        return Tensor([count, width], Array(all.elements[0..<count * width]))
    }
}

extension Tensor {
    /// Rows [N, K] whose largest element is at their label.
    func countCorrect(_ labels: [Int32]) -> Int {
        let classes = shape[1]
        return labels.indices.count { row in
            let scores = elements[row * classes..<(row + 1) * classes]
            guard let best = scores.indices.max(by: { scores[$0] < scores[$1] }) else {
                return false
            }
            return best - row * classes == Int(labels[row])
        }
    }
}
