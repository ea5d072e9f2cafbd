import ApusTensor
import Foundation

/// The safetensors format: a JSON header, then the raw elements of every tensor.
public enum Safetensors {
    /// Reads the file at `path`. The elements stay in the mapped file until they are used.
    public static func read(_ path: String) throws -> TensorFile {
        try decode(MappedFile.read(path), path: path)
    }

    /// Reads the bytes of a file; `path` is for messages.
    package static func decode(_ data: Data, path: String) throws -> TensorFile {
        let remedy = "download or write the file again"
        var reader = ByteReader(data, path: path)
        guard data.count >= 8 else {
            throw FileError(
                path, "has \(byteText(data.count)), too few for a safetensors file", remedy: remedy)
        }
        let declared = try reader.integer(UInt64.self)
        guard declared <= UInt64(SafetensorsHeader.maximumByteCount) else {
            throw FileError(
                path,
                "declares a header of \(declared) bytes, more than "
                    + "\(SafetensorsHeader.maximumByteCount): it is damaged or not safetensors",
                remedy: remedy)
        }
        let headerCount = Int(declared)
        guard reader.left >= headerCount else {
            throw FileError(
                path,
                "is truncated: it lacks \(byteText(headerCount - reader.left)) of its header",
                remedy: remedy)
        }
        let json = [UInt8](try reader.take(headerCount))
        guard json.first == UInt8(ascii: "{") else {
            throw FileError(path, "has a header that does not begin with `{`", remedy: remedy)
        }
        let header = try SafetensorsHeader(json, path: path)
        let elements = try reader.take(reader.left)
        try checkCover(header.entries, byteCount: elements.count, path: path)
        return TensorFile(
            tensors: header.entries.map { entry in
                let start = elements.startIndex
                return (
                    entry.name,
                    StoredTensor(
                        dataType: entry.dataType, shape: Shape(entry.dimensions),
                        bytes: elements[start + entry.begin..<start + entry.end])
                )
            },
            metadata: header.metadata)
    }

    /// The tensors must cover all bytes after the header, each byte once.
    private static func checkCover(
        _ entries: [SafetensorsHeader.Entry], byteCount: Int, path: String
    ) throws {
        let remedy = "download or write the file again"
        var covered = 0
        for entry in entries.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
            guard entry.begin >= covered else {
                throw FileError(
                    path,
                    "lets \(quoted(entry.name)) overlap the tensor before it by "
                        + byteText(covered - entry.begin), remedy: remedy)
            }
            guard entry.begin == covered else {
                throw FileError(
                    path,
                    "leaves a hole of \(byteText(entry.begin - covered)) before "
                        + quoted(entry.name), remedy: remedy)
            }
            covered = entry.end
        }
        guard covered <= byteCount else {
            throw FileError(
                path,
                "is truncated: it lacks \(byteText(covered - byteCount)) of \(covered)",
                remedy: "download or copy the file again")
        }
        guard covered == byteCount else {
            throw FileError(
                path, "has \(byteText(byteCount - covered)) after its last tensor", remedy: remedy)
        }
    }
}
