import ApusGraph

/// Merges pointwise operations into the normalization before them:
/// batch norm (+ residual add) (+ activation) becomes one node, hence one pass over memory. Max pooling
/// behind a rectifier comes along: of what is normalized only the maxima are written.
///
/// The pass runs before differentiation, so that the gradient of the merged node is the merged
/// gradient.
public struct NormalizationFusion {
    /// Whether max pooling comes along with a batch norm. Normalizations with given statistics are merged
    /// into convolutions instead.
    let mergesPooling: Bool

    public init(mergesPooling: Bool = false) { self.mergesPooling = mergesPooling }

    public func callAsFunction(_ graph: Graph) -> Graph {
        let consumers = graph.consumers()
        let roots = graph.roots
        /// The only node that reads a value which nothing outside the graph reads.
        func onlyReader(_ value: ValueID) -> Int? {
            guard let users = consumers[value], users.count == 1, !roots.contains(value) else {
                return nil
            }
            return users[0]
        }

        /// What stands in a node's place, where that is not the node itself.
        var replaced: [Int: [Node]] = [:]
        for (index, node) in graph.nodes.enumerated() {
            guard var n = node.op.normalization, n.activation == nil else { continue }
            let statistics = node.outputs.dropFirst()
            let averages = statistics.flatMap { consumers[$0] ?? [] }
            guard averages.allSatisfy({ isMovable(graph.nodes[$0], consumers, replaced[$0]) })
            else { continue }

            var merged = node
            var absorbed = [index]
            // A residual first, then the activation after the sum.
            if !n.addsResidual, let add = onlyReader(merged.outputs[0]), replaced[add] == nil,
                graph.nodes[add].op == .add
            {
                let sum = graph.nodes[add]
                let others = sum.inputs.filter { $0 != merged.outputs[0] }
                guard others.count == 1 else { continue }
                n.addsResidual = true
                merged.inputs += others
                merged.outputs[0] = sum.outputs[0]
                absorbed.append(add)
            }
            if let next = onlyReader(merged.outputs[0]),
                case .activation(let function) = graph.nodes[next].op, n.canAbsorb(function)
            {
                n.activation = function
                merged.outputs[0] = graph.nodes[next].outputs[0]
                absorbed.append(next)
            }
            if mergesPooling, case .batchNorm = node.op, n.activation == .relu, !n.addsResidual,
                let next = onlyReader(merged.outputs[0]),
                case .maxPool(let window) = graph.nodes[next].op
            {
                n.maxPool = window
                merged.outputs[0] = graph.nodes[next].outputs[0]
                absorbed.append(next)
            }
            guard let last = absorbed.last, last > index else { continue }
            merged.op = node.op.replacing(n)

            // The merged node takes the last place; averages in between move behind it.
            let moved = averages.filter { $0 < last }
            for other in absorbed + moved { replaced[other] = [] }
            replaced[last] = [merged] + moved.map { graph.nodes[$0] }
        }
        var result = graph
        result.nodes = graph.nodes.enumerated().flatMap { replaced[$0.offset] ?? [$0.element] }
        return result
    }

    /// Whether a reader of the batch's statistics can run later: a moving average nobody reads.
    private func isMovable(
        _ node: Node, _ consumers: [ValueID: [Int]], _ replacement: [Node]?
    ) -> Bool {
        guard case .movingAverage = node.op, replacement == nil else { return false }
        return consumers[node.outputs[0]] == nil
    }
}

extension Normalization {
    /// Whether the derivative can be found again in the backward pass: of a rectifier from the output,
    /// of others from x, to which no residual was added.
    fileprivate func canAbsorb(_ function: ActivationFunction) -> Bool {
        switch function {
        case .relu: true
        case .relu6, .silu: !addsResidual
        default: false
        }
    }
}

extension Op {
    /// The attributes of a forward normalization.
    var normalization: Normalization? {
        switch self {
        case .batchNorm(let n), .normalize(let n): n
        default: nil
        }
    }

    func replacing(_ n: Normalization) -> Op {
        if case .batchNorm = self { .batchNorm(n) } else { .normalize(n) }
    }
}
