import ApusTensor
import Foundation

/// The files of `torch.save`, both the zip format of PyTorch 1.6 and the one before it.
///
/// Only the tensors are read. The pickle inside is interpreted by a machine that knows a dozen
/// names; any other name, and so all code, is refused.
public enum PyTorchCheckpoint {
    /// Reads the state dictionary in the file at `path`: the top-level dictionary of tensors, or
    /// one nested under a key such as `state_dict`. A prefix `module.` on every name is removed.
    /// Numbers and texts of the top-level dictionary become metadata.
    public static func read(_ path: String) throws -> TensorFile {
        try decode(MappedFile.read(path), path: path)
    }

    /// Reads the bytes of a file; `path` is for messages.
    package static func decode(_ data: Data, path: String) throws -> TensorFile {
        data.starts(with: zipSignature)
            ? try decodeZip(data, path: path) : try decodeLegacy(data, path: path)
    }

    static let zipSignature: [UInt8] = [0x50, 0x4B, 0x03, 0x04]

    private static func decodeZip(_ data: Data, path: String) throws -> TensorFile {
        let archive = try ZipArchive(data, path: path)
        let programs = archive.names.filter {
            $0.hasSuffix("/data.pkl") && $0.split(separator: "/").count == 2
        }
        guard programs.count == 1, let program = archive[programs[0]] else {
            throw FileError(
                path,
                "is a zip archive, but not a PyTorch checkpoint: it has "
                    + "\(programs.isEmpty ? "no" : "several") data.pkl",
                remedy: "save it with torch.save")
        }
        let folder = programs[0].dropLast("data.pkl".count)
        if let order = archive["\(folder)byteorder"], !order.elementsEqual("little".utf8) {
            throw bigEndian(path)
        }
        var machine = PickleMachine(ByteReader(program, path: path))
        let root = try machine.run()
        var contents: [String: Data] = [:]
        for storage in machine.storages {
            guard let bytes = archive["\(folder)data/\(storage.key)"] else { continue }
            let (expected, overflow) = storage.count.multipliedReportingOverflow(
                by: storage.dataType.byteCount)
            guard !overflow, bytes.count == expected else {
                throw FileError(
                    path,
                    "has the storage \(quoted(storage.key)) of \(byteText(bytes.count)) "
                        + "for \(storage.count) elements of \(storage.dataType)",
                    remedy: "download or save the file again")
            }
            contents[storage.key] = bytes
        }
        return try file(root, machine, contents: contents, byteCount: data.count)
    }

    private static func decodeLegacy(_ data: Data, path: String) throws -> TensorFile {
        guard LegacyTorchFile.isOne(data) else {
            throw FileError(
                path, "is not a PyTorch checkpoint", remedy: "save it with torch.save")
        }
        let legacy = try LegacyTorchFile(data, path: path)
        return try file(
            legacy.root, legacy.machine, contents: legacy.contents, byteCount: data.count)
    }

    private static func file(
        _ root: PickleValue, _ machine: PickleMachine, contents: [String: Data], byteCount: Int
    ) throws -> TensorFile {
        var dictionary = StateDictionary(machine)
        let named = try dictionary.tensors(in: root)
        var tensors = TorchTensors(
            path: machine.path, storages: machine.storages, contents: contents,
            fileByteCount: byteCount)
        return TensorFile(
            tensors: try named.map { ($0.name, try tensors.stored($0.tensor, name: $0.name)) },
            metadata: dictionary.metadata(in: root))
    }

    static func bigEndian(_ path: String) -> FileError {
        FileError(
            path, "was written in big-endian byte order",
            remedy: "save it again on a little-endian machine")
    }
}
