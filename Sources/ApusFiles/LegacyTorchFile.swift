import Foundation

/// A checkpoint from before PyTorch 1.6: five pickles in a row (magic number, protocol version,
/// machine, object, storage keys), then each storage as a 64-bit count and its elements.
struct LegacyTorchFile {
    /// The machine that ran the object's pickle.
    let machine: PickleMachine
    let root: PickleValue
    /// The bytes of each storage, by its key.
    let contents: [String: Data]

    /// 0x1950a86a20f9469cfc6c, little-endian.
    private static let magic: [UInt8] = [
        0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
    ]

    /// Whether `data` begins with the pickle of the magic number.
    static func isOne(_ data: Data) -> Bool {
        let head = [UInt8](data.prefix(32))
        return head.first == 0x80 && head.indices.contains { head[$0...].starts(with: magic) }
    }

    /// Reads the file in `data`, which stands at `path`.
    init(_ data: Data, path: String) throws {
        var reader = ByteReader(data, path: path)
        guard case .bigInteger(Self.magic) = try Self.run(&reader).value else {
            throw FileError(
                path, "lacks the magic number of PyTorch", remedy: "save it with torch.save")
        }
        guard case .int(1001) = try Self.run(&reader).value else {
            throw FileError(
                path, "is of an unknown version of PyTorch's old format",
                remedy: "save it again with a current PyTorch")
        }
        let system = try Self.run(&reader)
        guard case .dictionary(let facts) = system.value else {
            throw system.machine.damaged("does not describe the machine it was written on")
        }
        for case (.string("little_endian"), .bool(false)) in system.machine.dictionaries[facts] {
            throw PyTorchCheckpoint.bigEndian(path)
        }
        (root, machine) = try Self.run(&reader)
        contents = try Self.storages(&reader, of: machine)
    }

    private static func run(
        _ reader: inout ByteReader
    ) throws -> (value: PickleValue, machine: PickleMachine) {
        var machine = PickleMachine(reader)
        let value = try machine.run()
        reader = machine.reader
        return (value, machine)
    }

    /// Reads the list of keys and the storages after it.
    private static func storages(
        _ reader: inout ByteReader, of machine: PickleMachine
    ) throws -> [String: Data] {
        let (value, keyMachine) = try run(&reader)
        guard case .list(let list) = value else {
            throw keyMachine.damaged("does not list the storages")
        }
        var contents: [String: Data] = [:]
        for key in keyMachine.lists[list] {
            guard case .string(let key) = key, let index = machine.storageIndices[key] else {
                throw keyMachine.damaged("lists a storage that no tensor uses")
            }
            let storage = machine.storages[index]
            let count = try reader.count(Int64.self)
            guard count == storage.count else {
                throw FileError(
                    reader.path,
                    "has the storage \(quoted(key)) of \(count) instead of "
                        + "\(storage.count) elements", remedy: "download or save the file again")
            }
            let (byteCount, overflow) = count.multipliedReportingOverflow(
                by: storage.dataType.byteCount)
            let bytes = try reader.take(overflow ? .max : byteCount)
            guard contents.updateValue(bytes, forKey: key) == nil else {
                throw keyMachine.damaged("lists the storage \(quoted(key)) twice")
            }
        }
        guard reader.left == 0 else {
            throw FileError(
                reader.path, "has \(byteText(reader.left)) after its last storage",
                remedy: "download or save the file again")
        }
        return contents
    }
}
