import Foundation

/// Interprets the part of Python's pickle language that tensors need, and refuses all else.
///
/// Nothing is ever executed: a name out of the file is looked up in a short list, and whatever is
/// not on it is an error. Work and memory are proportional to the bytes read.
struct PickleMachine {
    /// The cursor in the file, behind the pickle after `run`.
    var reader: ByteReader
    let path: String
    var tuples: [[PickleValue]] = []
    var lists: [[PickleValue]] = []
    var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    var tensors: [PickleTensor] = []
    var storages: [PickleStorageInfo] = []
    var storageIndices: [String: Int] = [:]
    /// Items copied out of lists that may be named again; bounded by the bytes read.
    var copied = 0

    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private let start: Int

    static let maximumByteCount = 16 << 20

    /// Interprets the pickle at the cursor of `reader`.
    init(_ reader: ByteReader) {
        self.reader = reader
        path = reader.path
        start = reader.position
    }

    /// How many bytes of the pickle have been read.
    var consumed: Int { reader.position - start }

    /// Runs the program to its end and returns its value.
    mutating func run() throws -> PickleValue {
        while true {
            guard consumed <= Self.maximumByteCount else {
                throw damaged("is longer than \(Self.maximumByteCount) bytes")
            }
            let code = try reader.byte()
            guard let opcode = PickleOpcode(rawValue: code) else {
                throw FileError(
                    path,
                    "uses the pickle instruction \(PickleOpcode.refusedName(code)), "
                        + "which Apus never executes",
                    remedy: PickleMachine.saveRemedy)
            }
            if opcode == .stop { return try pop() }
            try step(opcode)
        }
    }

    /// What to do about a file that holds more than tensors.
    static let saveRemedy = "save only model.state_dict() with torch.save and read that"

    /// The error for a pickle that `problem`.
    func damaged(_ problem: String) -> FileError {
        FileError(
            path, "has a pickle that \(problem) (at byte \(reader.position))",
            remedy: "download or save the file again")
    }

    private mutating func step(_ opcode: PickleOpcode) throws {
        switch opcode {
        case .proto:
            guard try reader.byte() <= 5 else { throw damaged("has an unknown protocol") }
        case .frame: _ = try reader.take(8)
        case .stop: break
        case .mark: marks.append(stack.count)
        case .pop: _ = try pop()
        case .popMark: _ = try popToMark()
        case .dup: push(try top())
        case .none, .newTrue, .newFalse, .binInt, .binInt1, .binInt2, .long1, .binFloat,
            .shortBinString, .binString, .shortBinUnicode, .binUnicode, .binUnicode8,
            .shortBinBytes, .binBytes:
            push(try literal(opcode))
        case .emptyTuple: pushTuple([])
        case .tuple: pushTuple(try popToMark())
        case .tuple1: pushTuple(try pop(1))
        case .tuple2: pushTuple(try pop(2))
        case .tuple3: pushTuple(try pop(3))
        case .emptyList:
            push(.list(lists.count))
            lists.append([])
        case .append: try append(pop(1))
        case .appends: try append(popToMark())
        case .emptyDict: push(newDictionary([]))
        case .setItem: try set(pop(2))
        case .setItems: try set(popToMark())
        case .binPut: memo[Int(try reader.byte())] = try top()
        case .longBinPut: memo[Int(try reader.integer(UInt32.self))] = try top()
        case .memoize: memo[memo.count] = try top()
        case .binGet: push(try recall(Int(reader.byte())))
        case .longBinGet: push(try recall(Int(reader.integer(UInt32.self))))
        case .global:
            let module = try text(reader.line())
            push(.callable(try callable(module, text(reader.line()))))
        case .stackGlobal:
            let names = try pop(2)
            guard case .string(let module) = names[0], case .string(let name) = names[1] else {
                throw damaged("names a global by something else than text")
            }
            push(.callable(try callable(module, name)))
        case .binPersistentID: push(try storage(pop()))
        case .reduce:
            let parts = try pop(2)
            push(try call(parts[0], with: parts[1]))
        case .build:
            // The state of an ordered dictionary, as torch's `_metadata`: no tensor needs it.
            _ = try pop()
            guard case .dictionary = try top() else {
                throw FileError(
                    path,
                    "sets the state of something else than a dictionary, "
                        + "which Apus never executes", remedy: PickleMachine.saveRemedy)
            }
        }
    }

    private mutating func push(_ value: PickleValue) { stack.append(value) }

    private mutating func pushTuple(_ items: [PickleValue]) {
        push(.tuple(tuples.count))
        tuples.append(items)
    }

    /// The lowest place on the stack that the present instruction may take from.
    private var floor: Int { marks.last ?? 0 }

    private func top() throws -> PickleValue {
        guard stack.count > floor, let value = stack.last else { throw underflow }
        return value
    }

    private mutating func pop() throws -> PickleValue {
        guard stack.count > floor, let value = stack.popLast() else { throw underflow }
        return value
    }

    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - floor >= count else { throw underflow }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else { throw underflow }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private var underflow: FileError { damaged("takes more from its stack than is there") }

    private func recall(_ index: Int) throws -> PickleValue {
        guard let value = memo[index] else { throw damaged("recalls what it never stored") }
        return value
    }

    private mutating func append(_ items: [PickleValue]) throws {
        guard case .list(let list) = try top() else { throw damaged("appends to no list") }
        lists[list] += items
    }

    private mutating func set(_ items: [PickleValue]) throws {
        guard case .dictionary(let dictionary) = try top(), items.count.isMultiple(of: 2) else {
            throw damaged("sets items of no dictionary")
        }
        for index in stride(from: 0, to: items.count, by: 2) {
            dictionaries[dictionary].append((items[index], items[index + 1]))
        }
    }
}
