import ApusData
import ApusRuntime
import ApusTensor
import CKernels

/// The gradient of a batch that need not fit in memory at once.
///
/// The loss of SimCLR couples all images of a batch. With several chunks there are two passes (Gao et
/// al. 2021): the first collects all projections, from which the loss and its gradient by every
/// projection follow; the second repeats each chunk's forward pass and goes back from there. Batch
/// norm sees one chunk at a time, both views together. The first pass leaves no trace in the running
/// statistics, and dropout zeroes the same elements in both. BYOL's loss is a mean over images and
/// needs one pass.
package final class ContrastiveStep {
    package struct Result {
        package let loss: Double
        package let accuracy: Double
        /// Of all images: the first views, then the second.
        package let projections: Tensor
    }

    package let session: Session
    package let targetSession: Session?
    private let recipe: PretrainingRecipe
    private let store: ParameterStore
    private let chunks: Int
    private let dimension: Int
    /// The sum of the chunks' gradients.
    private let sum: Arena

    package init(
        _ recipe: PretrainingRecipe, parameters: ParameterStore, target: ParameterStore?,
        configuration: Session.Configuration
    ) throws {
        self.recipe = recipe
        store = parameters
        let graphs = PretrainingGraph(recipe)
        session = try Session(
            graphs.online(images: recipe.chunk), parameters: parameters, differentiate: true,
            configuration: configuration)
        targetSession = try target.map {
            try Session(
                graphs.target(images: recipe.chunk), parameters: $0, configuration: configuration)
        }
        chunks = recipe.batch / recipe.chunk
        dimension = session.outputShape("projection")[1]
        sum = Arena(count: chunks > 1 ? parameters.gradientBlock.count : 0)
    }

    /// Bytes of activations, of summed gradients, of the images of a batch and the matrices of the
    /// loss.
    package var bytes: Int {
        let pixels = recipe.encoder.input.count
        let rows = 2 * recipe.batch
        let loss = 4 * rows * dimension + recipe.threads * 512 * 512
        let floats = sum.count + rows * pixels + loss
        return session.workspaceBytes + (targetSession?.workspaceBytes ?? 0)
            + floats * MemoryLayout<Float>.stride
    }

    /// Puts the gradient of the batch into the store; `batches` are its chunks.
    package func gradient(_ batches: [Batch], key: RandomKey) -> Result {
        precondition(batches.count == chunks, "\(batches.count) chunks instead of \(chunks)")
        return recipe.method == .byol ? regression(batches, key) : contrast(batches, key)
    }

    /// The projections of a batch whose chunks have these images, leaving running statistics as they
    /// were.
    package func projections(_ images: [Tensor], key: RandomKey) -> Tensor {
        let buffers = Array(store.bufferBlock.buffer)
        defer {
            _ = store.bufferBlock.buffer.update(fromContentsOf: buffers)
            store.markChanged()
        }
        return collect(images, key)
    }

    private func collect(_ images: [Tensor], _ key: RandomKey) -> Tensor {
        var all = Tensor([2 * recipe.batch, dimension])
        for (index, images) in images.enumerated() {
            session.setInput("images", images.elements)
            session.runForward(randomKey: key.child(index))
            place(session.output("projection"), index, into: &all)
        }
        return all
    }

    private func contrast(_ batches: [Batch], _ key: RandomKey) -> Result {
        let images = batches.map(\.images)
        let z = chunks == 1 ? collect(images, key) : projections(images, key: key)
        let result = recipe.loss(
            z, labels: batches.flatMap(\.labels), normalizes: recipe.normalizes,
            threads: recipe.threads)
        for (index, batch) in batches.enumerated() {
            if chunks > 1 {
                session.setInput("images", batch.images.elements)
                session.runForward(randomKey: key.child(index))
            }
            backward(part(result.gradient, index), index, key)
        }
        return Result(loss: result.loss, accuracy: result.accuracy, projections: z)
    }

    /// Both views predict each other's target: the sum of both directions, as published.
    private func regression(_ batches: [Batch], _ key: RandomKey) -> Result {
        guard let targetSession else { preconditionFailure("BYOL needs a target") }
        var all = Tensor([2 * recipe.batch, dimension])
        var loss = 0.0
        for (index, batch) in batches.enumerated() {
            for session in [targetSession, session] {
                session.setInput("images", batch.images.elements)
                session.runForward(randomKey: key.child(index))
            }
            let predictions = session.output("projection")
            let targets = targetSession.output("projection").elements
            let half = targets.count / 2
            let others = Tensor(predictions.shape, Array(targets[half...] + targets[..<half]))
            var (value, gradient) = RegressionLoss.evaluate(
                predictions, others, normalizes: recipe.normalizes)
            loss += 2 * value / Double(chunks)
            for i in gradient.elements.indices { gradient.elements[i] *= 2 / Float(chunks) }
            backward(gradient, index, key)
            place(predictions, index, into: &all)
        }
        let matrix = SimilarityMatrix(
            all, scale: 1, normalizes: true, threads: recipe.threads)
        matrix.visit(matrix.noteLargest)
        return Result(loss: loss, accuracy: matrix.accuracy, projections: all)
    }

    /// The backward pass of a chunk; gradients of several are added in order.
    private func backward(_ gradient: Tensor, _ index: Int, _ key: RandomKey) {
        session.setInput("projectionGradient", gradient.elements)
        session.runBackward(randomKey: key.child(index))
        guard chunks > 1 else { return }
        let (own, sum) = (store.gradientBlock.base, sum.base)
        EngineThread.shared.perform {
            Team(threads: recipe.threads).splitArray(store.gradientBlock.count) { begin, end in
                let count = end - begin
                if index == 0 { (sum + begin).update(repeating: 0, count: count) }
                apus_add(apus_float32, sum, own, sum, begin, end)
                if index == chunks - 1 { (own + begin).update(from: sum + begin, count: count) }
            }
        }
    }

    /// Rows of a chunk within those of the batch: the first views, then the second.
    private func rows(_ index: Int) -> (first: Range<Int>, second: Range<Int>) {
        let start = index * recipe.chunk * dimension
        let end = start + recipe.chunk * dimension
        let half = recipe.batch * dimension
        return (start..<end, half + start..<half + end)
    }

    private func place(_ chunk: Tensor, _ index: Int, into all: inout Tensor) {
        let (first, second) = rows(index)
        all.elements.replaceSubrange(first, with: chunk.elements[..<first.count])
        all.elements.replaceSubrange(second, with: chunk.elements[first.count...])
    }

    private func part(_ all: Tensor, _ index: Int) -> Tensor {
        let (first, second) = rows(index)
        return Tensor(
            [2 * recipe.chunk, dimension], Array(all.elements[first] + all.elements[second]))
    }
}
