import ApusTensor

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

// With targets t = (1 - smoothing) * one-hot + smoothing / K and probabilities p = softmax(z):
//
//     loss    = -(1 / N) sum over rows and classes of t * log(p),  log(p) = z - log(sum of exp(z))
//     dlogits = dloss / N * (p - t)

extension ReferenceExecutor {
    static func crossEntropy(
        _ logits: ReferenceTensor, labels: ReferenceTensor, _ smoothing: Float
    ) -> (loss: ReferenceTensor, probabilities: ReferenceTensor) {
        let targets = targets(logits.shape, labels, smoothing)
        var sum = 0.0
        for row in rows(logits.shape) {
            // The maximum is subtracted so that exp cannot overflow.
            let largest = row.reduce(-Double.infinity) { max($0, logits[$1]) }
            let logSum = largest + log(row.reduce(0) { $0 + exp(logits[$1] - largest) })
            for i in row { sum -= targets[i] * (logits[i] - logSum) }
        }
        let loss = ReferenceTensor([1], [sum / Double(logits.shape[0])])
        return (loss, softmax(logits))
    }

    static func crossEntropyGradient(
        _ probabilities: ReferenceTensor, labels: ReferenceTensor, dloss: ReferenceTensor,
        _ smoothing: Float
    ) -> ReferenceTensor {
        let targets = targets(probabilities.shape, labels, smoothing)
        let scale = dloss[0] / Double(probabilities.shape[0])
        return combine(probabilities, targets) { p, t in scale * (p - t) }
    }

    private static func targets(
        _ shape: Shape, _ labels: ReferenceTensor, _ smoothing: Float
    ) -> ReferenceTensor {
        let classes = shape[1]
        var targets = ReferenceTensor(shape, repeating: Double(smoothing) / Double(classes))
        for (row, label) in labels.elements.enumerated() {
            guard let label = Int(exactly: label), (0..<classes).contains(label) else {
                preconditionFailure("label \(label) is not one of \(classes) classes")
            }
            targets[row * classes + label] += 1 - Double(smoothing)
        }
        return targets
    }
}
