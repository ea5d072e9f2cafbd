import ApusGraph
import ApusTensor
import CDNNL
import CKernels
import Foundation

extension StepBuilder {
    func matmul(_ node: Node, _ transposeA: Bool, _ transposeB: Bool) throws -> any Step {
        let y = shape(node.outputs[0])
        let inner = shape(node.inputs[0])[transposeA ? 0 : 1]
        if isInference && y[0] <= VectorStep.most && !transposeA && transposeB {
            return VectorStep(
                apus_vectors(count: y[0], xStep: inner, yStep: y[1], columns: inner), rows: y[1],
                VectorStep.Operands(
                    x: pointer(node.inputs[0]), matrix: pointer(node.inputs[1]), bias: nil,
                    y: pointer(node.outputs[0])), team)
        }
        let a = Descriptor.matrix(y[0], inner, transposed: transposeA)
        let b = Descriptor.matrix(inner, y[1], transposed: transposeB)
        let c = Descriptor.matrix(y[0], y[1], transposed: false)
        var description: dnnl_primitive_desc_t?
        try EngineError.check(
            apus_matmul_pd(&description, library.engine, a.handle, b.handle, c.handle),
            "plan a matrix product \(y)")
        guard let description else { throw EngineError(description: "oneDNN returned nothing") }
        let primitive = try Primitive(description, library)
        try primitive.set(DNNL_ARG_SRC, a, pointer(node.inputs[0]))
        try primitive.set(DNNL_ARG_WEIGHTS, b, pointer(node.inputs[1]))
        try primitive.set(DNNL_ARG_DST, c, pointer(node.outputs[0]))
        return PrimitiveStep(primitive)
    }

    func addBias(_ node: Node) -> any Step {
        let x = pointer(node.inputs[0])
        let bias = pointer(node.inputs[1])
        let y = pointer(node.outputs[0])
        let value = shape(node.outputs[0])
        return KernelStep { _, _ in apus_add_bias(x, bias, y, value[1], 0, value[0]) }
    }

    func sumRows(_ node: Node) -> any Step {
        let x = pointer(node.inputs[0])
        let y = pointer(node.outputs[0])
        let value = shape(node.inputs[0])
        return KernelStep { _, _ in apus_sum_rows(x, y, value[0], value[1], 0, value[1]) }
    }

    func softmax(_ node: Node) -> any Step {
        let x = pointer(node.inputs[0])
        let y = pointer(node.outputs[0])
        let value = shape(node.outputs[0])
        return KernelStep { _, _ in
            for row in 0..<value[0] {
                _ = softmaxRow(x + row * value[1], y + row * value[1], value[1])
            }
        }
    }

    func softmaxGradient(_ node: Node) -> any Step {
        let dy = pointer(node.inputs[0])
        let y = pointer(node.inputs[1])
        let dx = pointer(node.outputs[0])
        let value = shape(node.outputs[0])
        return KernelStep { _, _ in
            for row in 0..<value[0] {
                let range = row * value[1]..<(row + 1) * value[1]
                var dot: Float = 0
                for i in range { dot += dy[i] * y[i] }
                for i in range { dx[i] = y[i] * (dy[i] - dot) }
            }
        }
    }

    /// The loss is summed in double precision: a batch of thousands of rows loses no digits.
    func crossEntropy(_ node: Node, _ smoothing: Float) -> any Step {
        let logits = pointer(node.inputs[0])
        let labels = pointer(node.inputs[1])
        let loss = pointer(node.outputs[0])
        let probabilities = pointer(node.outputs[1])
        let value = shape(node.inputs[0])
        let (rows, classes) = (value[0], value[1])
        return KernelStep { _, _ in
            var total = 0.0
            for row in 0..<rows {
                let x = logits + row * classes
                let logSum = softmaxRow(x, probabilities + row * classes, classes)
                total += logSum - Double(1 - smoothing) * Double(x[Int(labels[row])])
                if smoothing > 0 {
                    var sum = 0.0
                    for k in 0..<classes { sum += Double(x[k]) }
                    total -= Double(smoothing) * sum / Double(classes)
                }
            }
            loss[0] = Float(total / Double(rows))
        }
    }

    func crossEntropyGradient(_ node: Node, _ smoothing: Float) -> any Step {
        let probabilities = pointer(node.inputs[0])
        let labels = pointer(node.inputs[1])
        let scale = pointer(node.inputs[2])
        let gradient = pointer(node.outputs[0])
        let value = shape(node.outputs[0])
        let (rows, classes) = (value[0], value[1])
        return KernelStep { _, _ in
            let factor = scale[0] / Float(rows)
            let spread = smoothing / Float(classes)
            for row in 0..<rows {
                let at = row * classes
                for k in 0..<classes {
                    gradient[at + k] = (probabilities[at + k] - spread) * factor
                }
                gradient[at + Int(labels[row])] -= (1 - smoothing) * factor
            }
        }
    }
}

/// Writes the softmax of one row and returns the logarithm of the sum of exponentials.
private func softmaxRow(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
) -> Double {
    var largest = x[0]
    for k in 0..<count where x[k] > largest { largest = x[k] }
    var sum = 0.0
    for k in 0..<count {
        let e = exp(x[k] - largest)
        y[k] = e
        sum += Double(e)
    }
    let inverse = Float(1 / sum)
    for k in 0..<count { y[k] *= inverse }
    return Double(largest) + log(sum)
}
