import ApusGraph

extension ONNXLowering {
    /// Appends the nodes of a nonlinearity. ONNX has no SiLU and, in this operator set, no GELU.
    mutating func activate(
        _ x: String, _ function: ActivationFunction, to output: String, path: String
    ) {
        switch function {
        case .relu: emit("Relu", [x], to: output, path: path)
        case .relu6:
            let bounds = [constant(path, 0), constant(path, 6)]
            emit("Clip", [x] + bounds, to: output, path: path)
        case .leakyReLU(let slope):
            emit("LeakyRelu", [x], to: output, path: path, [.float("alpha", slope)])
        case .sigmoid: emit("Sigmoid", [x], to: output, path: path)
        case .tanh: emit("Tanh", [x], to: output, path: path)
        case .silu:
            let gate = emit("Sigmoid", [x], to: fresh(path), path: path)
            emit("Mul", [x, gate], to: output, path: path)
        case .gelu:
            // x * (1 + erf(x / sqrt(2))) / 2
            let scaled = emit(
                "Mul", [x, constant(path, Float(0.5).squareRoot())], to: fresh(path), path: path)
            let error = emit("Erf", [scaled], to: fresh(path), path: path)
            let sum = emit("Add", [error, constant(path, 1)], to: fresh(path), path: path)
            let half = emit("Mul", [x, constant(path, 0.5)], to: fresh(path), path: path)
            emit("Mul", [half, sum], to: output, path: path)
        }
    }
}
