import ApusGraph
import ApusTensor
import Foundation

/// The numbers of a network: parameters, their gradients and the running statistics, each kind in
/// one contiguous block, in the layout of files. Sessions of any batch size share one store.
public final class ParameterStore {
    /// A problem with tensors offered to a store: one clear line.
    public struct LoadError: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// Where a tensor lies in its block.
    public struct Slot: Hashable, Sendable {
        public let name: String
        public let shape: Shape
        /// Floats from the block's base.
        public let offset: Int
        /// Whether weight decay applies: weights do, biases and normalization do not.
        public let isDecayed: Bool
    }

    public let parameters: [Slot]
    public let buffers: [Slot]
    public let parameterBlock: Arena
    public let bufferBlock: Arena
    /// As long as the parameters; empty until a training session asks for it.
    public private(set) var gradientBlock = Arena(count: 0)
    /// Changes with every write, so that sessions know when prepared copies of weights are stale.
    public private(set) var version = 0

    private let slots: [String: (slot: Slot, isParameter: Bool)]
    private let infos: [ParameterInfo]
    private let bufferInfos: [BufferInfo]

    /// Space for the tensors that `graph` names, initialized from `seed`.
    public init(_ graph: Graph, seed: UInt64) {
        func layOut(_ tensors: [(String, Shape, Bool)]) -> ([Slot], Int) {
            var offset = 0
            let line = Arena.alignment / MemoryLayout<Float>.stride
            let slots = tensors.map { name, shape, isDecayed in
                defer { offset += shape.count.roundedUp(to: line) }
                return Slot(name: name, shape: shape, offset: offset, isDecayed: isDecayed)
            }
            return (slots, offset)
        }
        let (parameters, parameterCount) = layOut(
            graph.parameters.map { ($0.name, $0.shape, $0.role == .weight) })
        let (buffers, bufferCount) = layOut(graph.buffers.map { ($0.name, $0.shape, false) })
        self.parameters = parameters
        self.buffers = buffers
        parameterBlock = Arena(count: parameterCount)
        bufferBlock = Arena(count: bufferCount)
        slots = Dictionary(
            uniqueKeysWithValues: parameters.map { ($0.name, ($0, true)) }
                + buffers.map { ($0.name, ($0, false)) })
        infos = graph.parameters
        bufferInfos = graph.buffers
        initialize(seed: seed)
    }

    /// Draws every parameter anew: each is a pure function of the seed and its name.
    public func initialize(seed: UInt64) {
        let key = RandomKey(seed: seed).child("initialize")
        for (slot, info) in zip(parameters, infos) {
            info.initializer.fill(
                UnsafeMutableBufferPointer(
                    start: parameterBlock.base + slot.offset, count: slot.shape.count),
                fans: info.fans, key: key.child(info.name))
        }
        for (slot, info) in zip(buffers, bufferInfos) {
            UnsafeMutableBufferPointer(
                start: bufferBlock.base + slot.offset, count: slot.shape.count
            ).update(repeating: info.initialValue)
        }
        version += 1
    }

    /// Makes room for gradients.
    package func allocateGradients() {
        if gradientBlock.count == 0 { gradientBlock = Arena(count: parameterBlock.count) }
    }

    /// Says that the parameters were written to.
    public func markChanged() { version += 1 }

    /// Bytes of all blocks.
    public var byteCount: Int {
        (parameterBlock.count + gradientBlock.count + bufferBlock.count)
            * MemoryLayout<Float>.stride
    }

    /// Names of all tensors: parameters, then buffers.
    public var names: [String] { parameters.map(\.name) + buffers.map(\.name) }

    public func shape(_ name: String) -> Shape? { slots[name]?.slot.shape }

    /// A copy of the parameter or buffer called `name`.
    public func tensor(_ name: String) -> Tensor? {
        pointer(name).map { Tensor($1, Array(UnsafeBufferPointer(start: $0, count: $1.count))) }
    }

    /// A copy of the gradient of the parameter called `name` after a training pass.
    public func gradient(_ name: String) -> Tensor? {
        guard let (slot, isParameter) = slots[name], isParameter, gradientBlock.count > 0 else {
            return nil
        }
        let start = gradientBlock.base + slot.offset
        return Tensor(slot.shape, Array(UnsafeBufferPointer(start: start, count: slot.shape.count)))
    }

    /// Replaces the tensor called `name`. Throws a `LoadError` for unknown names and other shapes.
    public func set(_ name: String, _ tensor: Tensor) throws {
        guard let (pointer, shape) = pointer(name) else {
            throw LoadError(description: "the network has no parameter or buffer '\(name)'")
        }
        guard shape == tensor.shape else {
            throw LoadError(
                description: "\(name): the network has \(shape), the file has \(tensor.shape); "
                    + "is this a checkpoint of another network?")
        }
        tensor.elements.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return }
            pointer.update(from: base, count: shape.count)
        }
        version += 1
    }

    private func pointer(_ name: String) -> (UnsafeMutablePointer<Float>, Shape)? {
        slots[name].map { slot, isParameter in
            ((isParameter ? parameterBlock : bufferBlock).base + slot.offset, slot.shape)
        }
    }

    func address(parameter name: String) -> UnsafeMutablePointer<Float> {
        parameterBlock.base + slot(name).offset
    }
    func address(gradient name: String) -> UnsafeMutablePointer<Float> {
        gradientBlock.base + slot(name).offset
    }
    func address(buffer name: String) -> UnsafeMutablePointer<Float> {
        bufferBlock.base + slot(name).offset
    }

    private func slot(_ name: String) -> Slot {
        guard let slot = slots[name]?.slot else {
            preconditionFailure("the store was made for a network without \(name)")
        }
        return slot
    }
}
