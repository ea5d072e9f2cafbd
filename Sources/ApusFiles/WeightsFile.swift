import Foundation

/// Files of weights in any format that Apus reads.
public enum WeightsFile {
    /// Reads the file at `path`, which is safetensors or a PyTorch checkpoint: its content decides,
    /// not its name.
    public static func read(_ path: String) throws -> TensorFile {
        try decode(MappedFile.read(path), path: path)
    }

    /// Reads the bytes of a file; `path` is for messages.
    package static func decode(_ data: Data, path: String) throws -> TensorFile {
        let head = [UInt8](data.prefix(9))
        // A header is shorter than 4 GiB, so that four zeros precede its brace.
        if head.count == 9, head[8] == UInt8(ascii: "{"), head[4..<8].allSatisfy({ $0 == 0 }) {
            return try Safetensors.decode(data, path: path)
        }
        if data.starts(with: PyTorchCheckpoint.zipSignature) || LegacyTorchFile.isOne(data) {
            return try PyTorchCheckpoint.decode(data, path: path)
        }
        throw unknown(data, path: path)
    }

    private static func unknown(_ data: Data, path: String) -> FileError {
        if data.isEmpty { return FileError(path, "is empty", remedy: "download or copy it again") }
        if data.starts(with: "version https://git-lfs".utf8) {
            return FileError(
                path, "is a Git LFS pointer, not the weights themselves", remedy: "run git lfs pull"
            )
        }
        if data.first == UInt8(ascii: "<") {
            return FileError(
                path, "is a web page, not weights", remedy: "download it again by its direct link")
        }
        if data.first == 0x80 {
            return FileError(
                path, "is a Python pickle, but not a checkpoint of PyTorch",
                remedy: PickleMachine.saveRemedy)
        }
        return FileError(
            path, "is neither safetensors nor a PyTorch checkpoint",
            remedy: "give a file written by safetensors, torch.save or Apus")
    }
}
