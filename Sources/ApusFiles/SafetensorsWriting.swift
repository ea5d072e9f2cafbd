import ApusTensor
import Foundation

extension Safetensors {
    /// Writes `tensors` to `path`, atomically. The header lists them in the given order; the same
    /// tensors and metadata give the same bytes.
    public static func write(
        _ tensors: [NamedTensor], metadata: [String: String] = [:], to path: String
    ) throws {
        let layout = try layOut(tensors, metadata: metadata, path: path)
        try AtomicFile.write(to: path) { writer in
            try emit(layout, path: path) { try writer.write($0) }
        }
    }

    /// Writes float tensors to `path`, atomically.
    public static func write(
        tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:],
        to path: String
    ) throws {
        try write(tensors.map { NamedTensor($0.name, $0.tensor) }, metadata: metadata, to: path)
    }

    /// The bytes that `write` would put into a file.
    public static func encode(
        _ tensors: [NamedTensor], metadata: [String: String] = [:]
    ) throws -> Data {
        let path = "safetensors data"
        var data = Data()
        try emit(layOut(tensors, metadata: metadata, path: path), path: path) {
            data.append(contentsOf: $0)
        }
        return data
    }

    /// The header, length included, and the tensors in the order of their bytes.
    private struct FileLayout {
        var header: [UInt8]
        var tensors: [NamedTensor]
    }

    /// Wide elements go first, so that every tensor is aligned for its type.
    private static func layOut(
        _ tensors: [NamedTensor], metadata: [String: String], path: String
    ) throws -> FileLayout {
        let order = tensors.indices.sorted {
            let (first, second) = (tensors[$0].dataType.byteCount, tensors[$1].dataType.byteCount)
            return first == second ? $0 < $1 : first > second
        }
        var offsets = [(begin: Int, end: Int)](repeating: (0, 0), count: tensors.count)
        var end = 0
        for index in order {
            let begin = end
            end += tensors[index].shape.count * tensors[index].dataType.byteCount
            offsets[index] = (begin, end)
        }
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }
                .map { "\(json($0.key)):\(json($0.value))" }
            members.append("\"\(SafetensorsHeader.metadataKey)\":{\(pairs.joined(separator: ","))}")
        }
        var names: Set<String> = [SafetensorsHeader.metadataKey]
        for (tensor, offset) in zip(tensors, offsets) {
            guard names.insert(tensor.name).inserted else {
                throw FileError(
                    path, "cannot hold two entries named \(quoted(tensor.name))",
                    remedy: "rename one")
            }
            let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
            members.append(
                "\(json(tensor.name)):{\"dtype\":\"\(tensor.dataType.safetensors)\","
                    + "\"shape\":[\(shape)],\"data_offsets\":[\(offset.begin),\(offset.end)]}")
        }
        var text = Array("{\(members.joined(separator: ","))}".utf8)
        text += [UInt8](repeating: 0x20, count: text.count.roundedUp(to: 8) - text.count)
        guard text.count <= SafetensorsHeader.maximumByteCount else {
            throw FileError(
                path, "cannot hold a header of \(byteText(text.count))",
                remedy: "store fewer tensors or less metadata")
        }
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        return FileLayout(header: length + text, tensors: order.map { tensors[$0] })
    }

    private static func emit(
        _ layout: FileLayout, path: String, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        try layout.header.withUnsafeBytes { try write($0) }
        for tensor in layout.tensors {
            let expected = tensor.shape.count * tensor.dataType.byteCount
            var provided = 0
            try tensor.provider {
                provided += $0.count
                try write($0)
            }
            guard provided == expected else {
                throw FileError(
                    path,
                    "cannot be written: \(quoted(tensor.name)) provides "
                        + "\(byteText(provided)) instead of \(expected)",
                    remedy: "correct its shape")
            }
        }
    }

    /// `text` as a JSON string.
    private static func json(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\u{0}"..<"\u{20}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
