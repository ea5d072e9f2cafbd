import ApusTensor
import Foundation

/// Turns the tensors that a pickle describes into rows of elements.
struct TorchTensors {
    let path: String
    let storages: [PickleStorageInfo]
    /// The bytes of each storage, by its key.
    let contents: [String: Data]
    /// How many bytes may still be gathered: overlapping windows on a small file must not grow
    /// beyond bounds.
    private var budget: Int

    /// Tensors of the file at `path`, which has `fileByteCount` bytes.
    init(
        path: String, storages: [PickleStorageInfo], contents: [String: Data], fileByteCount: Int
    ) {
        self.path = path
        self.storages = storages
        self.contents = contents
        budget = 4 * min(fileByteCount, Int.max / 8) + 1 << 20
    }

    /// The elements of `tensor`, called `name`, in row-major order.
    mutating func stored(_ tensor: PickleTensor, name: String) throws -> StoredTensor {
        let info = storages[tensor.storage.index]
        let size = info.dataType.byteCount
        guard let storage = contents[info.key] else {
            throw bad(name, "needs the storage \(quoted(info.key)), which is missing")
        }
        guard let total = info.dataType.byteCount(of: tensor.sizes) else {
            throw bad(name, "has a shape beyond 64 bits")
        }
        let shape = Shape(tensor.sizes)
        guard total > 0 else {
            return StoredTensor(dataType: info.dataType, shape: shape, bytes: Data())
        }
        guard let first = sum(tensor.storage.offset, tensor.offset),
            let last = lastElement(tensor, from: first), last < storage.count / size
        else { throw bad(name, "reaches beyond its storage of \(storage.count / size) elements") }
        if isContiguous(tensor) {
            let start = storage.startIndex + first * size
            return StoredTensor(
                dataType: info.dataType, shape: shape, bytes: storage[start..<start + total])
        }
        guard total <= budget else {
            throw bad(name, "is an expanded view far larger than the file")
        }
        budget -= total
        return StoredTensor(
            dataType: info.dataType, shape: shape,
            bytes: gather(tensor, from: storage, first: first, elementSize: size, total: total))
    }

    private func isContiguous(_ tensor: PickleTensor) -> Bool {
        var expected = 1
        for (size, stride) in zip(tensor.sizes, tensor.strides).reversed() where size != 1 {
            guard stride == expected else { return false }
            expected *= size
        }
        return true
    }

    /// The number of the last element that `tensor` touches, nil if it does not fit.
    private func lastElement(_ tensor: PickleTensor, from first: Int) -> Int? {
        var last = first
        for (size, stride) in zip(tensor.sizes, tensor.strides) {
            let (step, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
            guard !overflow, let next = sum(last, step) else { return nil }
            last = next
        }
        return last
    }

    /// Copies the elements one by one, as an odometer over the dimensions finds them.
    private func gather(
        _ tensor: PickleTensor, from storage: Data, first: Int, elementSize: Int, total: Int
    ) -> Data {
        var result = Data(count: total)
        var digits = [Int](repeating: 0, count: tensor.sizes.count)
        result.withUnsafeMutableBytes { (target: UnsafeMutableRawBufferPointer) in
            storage.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
                var element = first
                for start in stride(from: 0, to: total, by: elementSize) {
                    for byte in 0..<elementSize {
                        target[start + byte] = source[element * elementSize + byte]
                    }
                    // Only the step past the last element may wrap, and nothing reads there.
                    for dimension in digits.indices.reversed() {
                        digits[dimension] += 1
                        element &+= tensor.strides[dimension]
                        if digits[dimension] < tensor.sizes[dimension] { break }
                        element &-= digits[dimension] &* tensor.strides[dimension]
                        digits[dimension] = 0
                    }
                }
            }
        }
        return result
    }

    private func sum(_ first: Int, _ second: Int) -> Int? {
        let (sum, overflow) = first.addingReportingOverflow(second)
        return overflow ? nil : sum
    }

    private func bad(_ name: String, _ problem: String) -> FileError {
        FileError(
            path, "has the tensor \(quoted(name)), which \(problem)",
            remedy: "save it again with torch.save, after .contiguous() on every tensor")
    }
}
