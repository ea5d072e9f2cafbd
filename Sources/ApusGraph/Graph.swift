import ApusTensor

/// One value of a graph, by its index.
public struct ValueID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public let index: Int
    public init(_ index: Int) { self.index = index }
    public static func < (a: ValueID, b: ValueID) -> Bool { a.index < b.index }
    public var description: String { "%\(index)" }
}

/// One operation of a graph.
public struct Node: Hashable, Sendable {
    public var op: Op
    public var inputs: [ValueID]
    public var outputs: [ValueID]
    /// The path of the layer this stems from, such as `layer1.0.conv1`.
    public var path: String
}

/// A trainable tensor and what the optimizer and the initializer need to know of it.
public struct ParameterInfo: Hashable, Sendable {
    public enum Role: String, Hashable, Sendable { case weight, bias, scale, shift }

    public let name: String
    public let shape: Shape
    public let initializer: Initializer
    /// Of the layer, which a bias cannot read off its own shape.
    public let fans: Fans
    public let role: Role
    public let value: ValueID
    /// Used, not trained: there is no gradient for it.
    public let isFrozen: Bool
}

/// A tensor that is kept between steps but not trained: running statistics.
public struct BufferInfo: Hashable, Sendable {
    public let name: String
    public let shape: Shape
    public let initialValue: Float
    public let value: ValueID
}

/// A flat program in static single assignment form: nodes in execution order, each value written by
/// exactly one node.
public struct Graph: Hashable, Sendable {
    public internal(set) var shapes: [Shape] = []
    public package(set) var layouts: [Layout] = []
    /// The types in which values are stored.
    public package(set) var types: [DataType] = []
    public package(set) var nodes: [Node] = []

    /// Values the caller fills before a run: `images`, `labels`.
    public internal(set) var inputs: [String: ValueID] = [:]
    public internal(set) var parameters: [ParameterInfo] = []
    public internal(set) var buffers: [BufferInfo] = []

    /// Values the caller reads after a run: `logits`, `loss`.
    public package(set) var outputs: [String: ValueID] = [:]
    /// Inputs in which the caller gives the gradient of a loss that it computes itself, by the name
    /// of the output they are the gradient of.
    public internal(set) var seeds: [String: ValueID] = [:]
    /// The gradient of the loss by parameter name.
    public package(set) var gradients: [String: ValueID] = [:]
    /// The new contents of buffers, by buffer name.
    public package(set) var updates: [String: ValueID] = [:]

    /// The image of which a value is the first channels in memory, where it is part of another.
    public package(set) var hosts: [ValueID: ValueID] = [:]

    public init() {}

    public func shape(_ value: ValueID) -> Shape { shapes[value.index] }
    public func layout(_ value: ValueID) -> Layout { layouts[value.index] }

    public func type(_ value: ValueID) -> DataType { types[value.index] }

    /// Elements that `value` takes in its layout.
    public func storageCount(_ value: ValueID) -> Int {
        layout(value).storageCount(shape(value))
    }

    /// Bytes that `value` takes in its layout and type.
    public func storageBytes(_ value: ValueID) -> Int {
        storageCount(value) * type(value).byteCount
    }

    /// Whether both begin one image in memory.
    package func sharesImage(_ a: ValueID, _ b: ValueID) -> Bool {
        (hosts[a] ?? a) == (hosts[b] ?? b)
    }

    package mutating func newValue(_ shape: Shape) -> ValueID {
        shapes.append(shape)
        layouts.append(.plain)
        types.append(.float32)
        return ValueID(shapes.count - 1)
    }

    /// Appends a node after inferring the shapes of its outputs; throws `GraphError`.
    @discardableResult
    package mutating func append(
        _ op: Op, _ inputs: [ValueID], path: String
    ) throws(GraphError) -> [ValueID] {
        let operands = inputs.map { shape($0) }
        do throws(ShapeMismatch) {
            let results = try op.outputShapes(operands)
            guard results.allSatisfy(\.isCountable) else {
                throw ShapeMismatch(problem: Shape.uncountable)
            }
            let outputs = results.map { newValue($0) }
            nodes.append(Node(op: op, inputs: inputs, outputs: outputs, path: path))
            return outputs
        } catch {
            throw GraphError(path: path, problem: error.problem, shapes: operands)
        }
    }

    /// Appends a source.
    package mutating func appendSource(_ op: Op, _ shape: Shape, path: String) -> ValueID {
        let value = newValue(shape)
        nodes.append(Node(op: op, inputs: [], outputs: [value], path: path))
        return value
    }

    /// Values that outlive the nodes: read by the caller or kept between runs.
    public var roots: Set<ValueID> {
        Set(outputs.values).union(gradients.values).union(updates.values)
    }

    /// For every value the indices of the nodes that read it.
    package func consumers() -> [ValueID: [Int]] {
        var result: [ValueID: [Int]] = [:]
        for (index, node) in nodes.enumerated() {
            for input in node.inputs where result[input]?.last != index {
                result[input, default: []].append(index)
            }
        }
        return result
    }

    /// Removes nodes none of whose outputs is used. Sources stay: they are the graph's interface.
    package mutating func removeDeadNodes() {
        var live = roots
        var kept: [Node] = []
        for node in nodes.reversed() {
            guard node.inputs.isEmpty || node.outputs.contains(where: live.contains) else {
                continue
            }
            live.formUnion(node.inputs)
            kept.append(node)
        }
        nodes = kept.reversed()
    }
}

extension Graph: CustomStringConvertible {
    /// One line a node: outputs, operation, inputs, shape, layer.
    public var description: String {
        nodes.map { node in
            let outputs = node.outputs.map(\.description).joined(separator: ", ")
            let inputs = node.inputs.map(\.description).joined(separator: ", ")
            let shapes = node.outputs.map { shape($0).description }.joined(separator: ", ")
            return "\(outputs) = \(node.op)(\(inputs)) -> \(shapes)"
                + (node.path.isEmpty ? "" : "  # \(node.path)")
        }.joined(separator: "\n")
    }
}
