/// Finds the dictionary of tensors in the value of a checkpoint's pickle.
struct StateDictionary {
    private let machine: PickleMachine
    /// The dictionaries known to hold a tensor or not.
    private var holdsTensor: [Int: Bool] = [:]

    /// The keys under which training programs keep the model, the most likely first.
    private static let usualKeys = [
        "state_dict", "model_state_dict", "model", "net", "network", "weights", "params",
    ]
    private static let maximumDepth = 4

    /// Searches the tables of `machine`, which has run.
    init(_ machine: PickleMachine) { self.machine = machine }

    /// The named tensors that `root` holds, itself or in a nested dictionary, in file order.
    mutating func tensors(in root: PickleValue) throws -> [(name: String, tensor: PickleTensor)] {
        guard case .dictionary(let top) = root, let found = search(from: top) else {
            throw FileError(
                machine.path, "holds no dictionary of tensors", remedy: PickleMachine.saveRemedy)
        }
        var seen = Set<String>()
        var named: [(name: String, tensor: PickleTensor)] = []
        for case (.string(let name), .tensor(let index)) in machine.dictionaries[found] {
            guard seen.insert(name).inserted else {
                throw machine.damaged("names the tensor \(quoted(name)) twice")
            }
            named.append((name, machine.tensors[index]))
        }
        for prefix in ["module.", "_orig_mod."]
        where named.allSatisfy({ $0.name.hasPrefix(prefix) }) {
            named = named.map { (String($0.name.dropFirst(prefix.count)), $0.tensor) }
        }
        return named
    }

    /// The numbers and texts beside the tensors, such as the epoch.
    func metadata(in root: PickleValue) -> [String: String] {
        guard case .dictionary(let top) = root else { return [:] }
        var metadata: [String: String] = [:]
        for case (.string(let key), let value) in machine.dictionaries[top] {
            switch value {
            case .bool(let bool): metadata[key] = String(bool)
            case .int(let int): metadata[key] = String(int)
            case .float(let double): metadata[key] = String(double)
            case .string(let text): metadata[key] = text
            default: break
            }
        }
        return metadata
    }

    /// Level by level: a usual key wins over tensors beside it, these win over other keys.
    private mutating func search(from top: Int) -> Int? {
        var level = [top]
        var visited: Set<Int> = [top]
        for _ in 0..<Self.maximumDepth {
            var next: [Int] = []
            for dictionary in level {
                let children = children(of: dictionary)
                for key in Self.usualKeys {
                    if let child = children.last(where: { $0.key == key })?.dictionary,
                        hasTensor(child)
                    {
                        return child
                    }
                }
                if hasTensor(dictionary) { return dictionary }
                next += children.map(\.dictionary).filter { visited.insert($0).inserted }
            }
            level = next
        }
        return nil
    }

    private func children(of dictionary: Int) -> [(key: String, dictionary: Int)] {
        machine.dictionaries[dictionary].compactMap { item in
            guard case (.string(let key), .dictionary(let child)) = item else { return nil }
            return (key, child)
        }
    }

    private mutating func hasTensor(_ dictionary: Int) -> Bool {
        if let known = holdsTensor[dictionary] { return known }
        let result = machine.dictionaries[dictionary].contains {
            if case (.string, .tensor) = $0 { true } else { false }
        }
        holdsTensor[dictionary] = result
        return result
    }
}
