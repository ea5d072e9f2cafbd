import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor
import Foundation

/// How a network does on labelled images.
public struct Evaluation: Hashable, Codable, Sendable {
    public var images = 0
    /// The mean cross entropy.
    public var loss = 0.0
    /// Shares of images whose label has the highest logit, or is among the five highest.
    public var top1 = 0.0
    public var top5 = 0.0
    /// Images by label (row) and prediction (column).
    public var confusion: [[Int]]

    /// The share of a class's images that were recognized; nil if there are none.
    public func recall(_ label: Int) -> Double? {
        let total = confusion[label].reduce(0, +)
        return total == 0 ? nil : Double(confusion[label][label]) / Double(total)
    }

    /// The share of the images recognized as a class that are of it; nil if there are none.
    public func precision(_ label: Int) -> Double? {
        let total = confusion.reduce(0) { $0 + $1[label] }
        return total == 0 ? nil : Double(confusion[label][label]) / Double(total)
    }

    /// The mistakes by kind, the most frequent first.
    public var mistakes: [(label: Int, prediction: Int, images: Int)] {
        var pairs: [(label: Int, prediction: Int, images: Int)] = []
        for (label, row) in confusion.enumerated() {
            for (prediction, images) in row.enumerated() where images > 0 && label != prediction {
                pairs.append((label, prediction, images))
            }
        }
        return pairs.sorted {
            ($1.images, $0.label, $0.prediction) < ($0.images, $1.label, $1.prediction)
        }
    }

    /// Half the width of the 95 % interval of `top1`, by the normal approximation.
    public var top1Uncertainty: Double {
        images == 0 ? 0 : 1.96 * (top1 * (1 - top1) / Double(images)).squareRoot()
    }
}

/// Runs a network on images in batches.
public final class Evaluator {
    public let batch: Int
    public let classes: Int
    /// The algorithm of every convolution, by problem.
    public var choices: [String: String] { session.choices }
    /// Bytes of activations and scratch memory.
    public var workspaceBytes: Int { session.workspaceBytes }
    private let session: Session

    public init(
        _ network: Network, parameters: ParameterStore, batch: Int,
        configuration: Session.Configuration = .init()
    ) throws {
        let graph = try network.graph(batch: batch, mode: .inference)
        session = try Session(graph, parameters: parameters, configuration: configuration)
        self.batch = batch
        guard let logits = graph.outputs["logits"], graph.shape(logits).rank == 2 else {
            throw TrainingError("\(network.name) does not end in [batch, classes]")
        }
        classes = graph.shape(logits)[1]
    }

    /// The logits [n, classes] of up to `batch` images.
    public func logits(_ images: Tensor) -> Tensor { session.rows("logits", of: images) }

    /// Evaluates every image of a source; `progress` hears how many are done.
    package func evaluate(
        _ source: any ImageSource, _ preprocessing: Preprocessing, workers: Int = 1,
        progress: (Int) -> Void = { _ in }
    ) throws -> Evaluation {
        let loader = try Loader(
            source: source, preprocessing: preprocessing,
            options: .evaluation(batchSize: batch, workers: workers))
        defer { loader.stop() }
        return try evaluate(loader, progress: progress)
    }

    /// Evaluates every image the loader gives; `progress` hears how many are done.
    public func evaluate(
        _ loader: Loader, progress: (Int) -> Void = { _ in }
    ) throws -> Evaluation {
        var result = Evaluation(
            confusion: [[Int]](
                repeating: [Int](repeating: 0, count: classes), count: classes))
        try loader.requireImages(Shape(Array(session.inputShape("images").dimensions.dropFirst())))
        var top1 = 0
        var top5 = 0
        while let batch = try loader.next() {
            let logits = logits(batch.images)
            for (row, label) in batch.labels.enumerated() {
                let scores = logits.elements[row * classes..<(row + 1) * classes]
                let label = Int(label)
                guard label < classes else {
                    throw TrainingError(
                        "the data has label \(label), the network only \(classes) classes")
                }
                let own = scores[scores.startIndex + label]
                let above = scores.count { $0 > own }
                if above < 5 { top5 += 1 }
                let best = scores.indices.max { scores[$0] < scores[$1] } ?? scores.startIndex
                if best - scores.startIndex == label { top1 += 1 }
                result.confusion[label][best - scores.startIndex] += 1
                let largest = Double(scores[best])
                let sum = scores.reduce(0.0) { $0 + exp(Double($1) - largest) }
                result.loss += log(sum) + largest - Double(own)
                result.images += 1
            }
            progress(result.images)
        }
        guard result.images > 0 else { throw TrainingError("there are no images to evaluate") }
        let count = Double(result.images)
        result.loss /= count
        result.top1 = Double(top1) / count
        result.top5 = Double(top5) / count
        return result
    }
}
