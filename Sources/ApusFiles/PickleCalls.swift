import ApusTensor

/// What the few permitted names mean.
extension PickleMachine {
    /// A low limit: a few bytes can make a tensor of the same two long tuples again and again.
    static let maximumRank = 8

    /// The meaning of the global `module.name`.
    func callable(_ module: String, _ name: String) throws -> PickleCallable {
        let full = "\(module).\(name)"
        guard let callable = PickleCallable(full) else {
            throw FileError(
                path, "wants to call \(quoted(full)), which Apus never executes",
                remedy: PickleMachine.saveRemedy)
        }
        return callable
    }

    /// A new dictionary of `items`.
    mutating func newDictionary(
        _ items: [(key: PickleValue, value: PickleValue)]
    ) -> PickleValue {
        dictionaries.append(items)
        return .dictionary(dictionaries.count - 1)
    }

    /// The result of what Python would write as `function(*arguments)`.
    mutating func call(_ function: PickleValue, with arguments: PickleValue) throws -> PickleValue {
        guard case .callable(let callable) = function, case .tuple(let index) = arguments else {
            throw damaged("calls something that is no function")
        }
        switch callable {
        case .orderedDictionary: return try orderedDictionary(tuples[index])
        case .size:
            guard case .tuple? = tuples[index].first else { throw damaged("misuses torch.Size") }
            return tuples[index][0]
        case .rebuildTensor: return try rebuildTensor(tuples[index])
        case .rebuildParameter:
            guard case .tensor? = tuples[index].first else {
                throw damaged("makes a parameter of something else than a tensor")
            }
            return tuples[index][0]
        case .storageType: throw damaged("calls a storage type")
        }
    }

    /// The storage that a persistent identifier names:
    /// `("storage", type, key, location, count[, view])`.
    mutating func storage(_ identifier: PickleValue) throws -> PickleValue {
        guard case .tuple(let index) = identifier, (5...6).contains(tuples[index].count),
            case .string("storage") = tuples[index][0],
            case .callable(.storageType(let dataType)) = tuples[index][1],
            case .string(let key) = tuples[index][2],
            case .int(let count) = tuples[index][4], count >= 0
        else { throw damaged("refers to something else than a storage") }
        var offset = 0
        if tuples[index].count == 6, case .tuple(let view) = tuples[index][5] {
            guard tuples[view].count == 3, case .int(let start) = tuples[view][1], start >= 0
            else { throw damaged("has a malformed view of a storage") }
            offset = start
        }
        if let known = storageIndices[key] {
            guard storages[known].dataType == dataType, storages[known].count == count else {
                throw damaged("describes the storage \(quoted(key)) in two ways")
            }
            return .storage(PickleStorage(index: known, offset: offset))
        }
        storageIndices[key] = storages.count
        storages.append(PickleStorageInfo(key: key, dataType: dataType, count: count))
        return .storage(PickleStorage(index: storages.count - 1, offset: offset))
    }

    /// `OrderedDict()` or, from Python 2, `OrderedDict([[key, value], ...])`.
    private mutating func orderedDictionary(_ arguments: [PickleValue]) throws -> PickleValue {
        guard let first = arguments.first else { return newDictionary([]) }
        guard arguments.count == 1, case .list(let list) = first else {
            throw damaged("misuses collections.OrderedDict")
        }
        copied += lists[list].count
        guard copied <= consumed else { throw damaged("copies one list too often") }
        var items: [(key: PickleValue, value: PickleValue)] = []
        for item in lists[list] {
            let pair: [PickleValue] =
                switch item {
                case .list(let index): lists[index]
                case .tuple(let index): tuples[index]
                default: []
                }
            guard pair.count == 2 else { throw damaged("misuses collections.OrderedDict") }
            items.append((pair[0], pair[1]))
        }
        return newDictionary(items)
    }

    /// `_rebuild_tensor_v2(storage, offset, sizes, strides, ...)`.
    private mutating func rebuildTensor(_ arguments: [PickleValue]) throws -> PickleValue {
        guard arguments.count >= 4, case .storage(let storage) = arguments[0],
            case .int(let offset) = arguments[1], offset >= 0
        else { throw damaged("has a malformed tensor") }
        let sizes = try naturals(arguments[2])
        let strides = try naturals(arguments[3])
        guard sizes.count == strides.count else {
            throw damaged("has a tensor with \(sizes.count) sizes and \(strides.count) strides")
        }
        tensors.append(
            PickleTensor(storage: storage, offset: offset, sizes: sizes, strides: strides))
        return .tensor(tensors.count - 1)
    }

    private func naturals(_ value: PickleValue) throws -> [Int] {
        guard case .tuple(let index) = value, tuples[index].count <= Self.maximumRank else {
            throw damaged("has a tensor without a proper shape")
        }
        return try tuples[index].map {
            guard case .int(let number) = $0, number >= 0 else {
                throw damaged("has a tensor without a proper shape")
            }
            return number
        }
    }
}
