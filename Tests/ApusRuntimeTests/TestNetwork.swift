import ApusGraph
import ApusRuntime
import ApusTensor

/// A small graph under construction together with the numbers of its sources.
struct TestNetwork {
    var builder = GraphBuilder(mode: .training)
    var sources: [ValueID: [Double]] = [:]

    /// How the elements of a source are chosen. All follow from the source's name.
    enum Numbers {
        /// Uniform in the range.
        case uniform(ClosedRange<Double>)
        /// Evenly spaced over the range, in random order: no two are close to each other, and with
        /// an even count over a symmetric range none is close to zero.
        case spaced(ClosedRange<Double>)
        case given([Double])

        func elements(_ name: String, _ count: Int) -> [Double] {
            let key = RandomKey(seed: 5).child(name)
            switch self {
            case .uniform(let range):
                return (0..<count).map {
                    range.lowerBound
                        + (range.upperBound - range.lowerBound) * Double(key.uniform(at: $0))
                }
            case .spaced(let range):
                let step = (range.upperBound - range.lowerBound) / Double(count)
                return key.permutation(count).map { range.lowerBound + (Double($0) + 0.5) * step }
            case .given(let elements):
                return elements
            }
        }
    }

    mutating func parameter(
        _ name: String, _ shape: Shape, _ numbers: Numbers = .uniform(-1...1)
    ) throws -> ValueID {
        let value = try builder.parameter(name, shape, .constant(0), role: .weight)
        sources[value] = numbers.elements(name, shape.count)
        return value
    }

    mutating func input(
        _ name: String, _ shape: Shape, _ numbers: Numbers = .uniform(-1...1)
    ) -> ValueID {
        let value = builder.input(name, shape)
        sources[value] = numbers.elements(name, shape.count)
        return value
    }

    mutating func buffer(
        _ name: String, _ shape: Shape, _ numbers: Numbers
    ) throws -> ValueID {
        let value = try builder.buffer(name, shape, initialValue: 0)
        sources[value] = numbers.elements(name, shape.count)
        return value
    }

    /// Appends an operation and returns its first output.
    mutating func append(_ op: Op, _ inputs: ValueID...) throws -> ValueID {
        try builder.append(op, inputs, path: "\(op)")[0]
    }

    /// Gives the buffer called `name` new contents.
    mutating func update(_ name: String, _ op: Op, _ inputs: ValueID...) throws {
        try builder.update(name, op, inputs, path: name)
    }

    /// Reduces any value to a scalar `loss` that depends on every element with a weight of its own
    /// and not linearly: a random dense layer to three classes and the cross entropy.
    mutating func reduceToLoss(_ value: ValueID) throws {
        var x = value
        if builder.shape(x).rank == 4 { x = try append(.flatten, x) }
        let shape = builder.shape(x)
        let bound = (3 / Double(shape[1])).squareRoot()
        let weights = input("loss weights", [shape[1], 3], .uniform(-bound...bound))
        let logits = try append(.matmul(transposeA: false, transposeB: false), x, weights)
        let labels = input("labels", [shape[0]], .given((0..<shape[0]).map { Double($0 % 3) }))
        builder.output("loss", try append(.crossEntropy(smoothing: 0), logits, labels))
    }
}

/// The outputs of one operation on the given operands.
func evaluate(_ op: Op, _ operands: (Shape, [Double])...) throws -> [[Double]] {
    var network = TestNetwork()
    let inputs = operands.enumerated().map { index, operand in
        network.input("\(index)", operand.0, .given(operand.1))
    }
    let outputs = try network.builder.append(op, inputs, path: "\(op)")
    let values = ReferenceExecutor(network.builder.graph).run(network.sources)
    return outputs.map { values[$0] ?? [] }
}

/// Whether two arrays agree to rounding of 64-bit floats.
func isClose(_ a: [Double], _ b: [Double], tolerance: Double = 1e-12) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance * max(1, abs($1)) }
}
