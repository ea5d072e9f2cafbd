import ApusTensor

/// A value of a pickle program. Containers and tensors are numbers of entries in the machine's
/// tables, so that values neither nest nor own each other: no file can build a chain whose release
/// or traversal would overflow the stack.
enum PickleValue {
    case none
    case bool(Bool)
    case int(Int)
    /// The little-endian bytes of an integer beyond 64 bits.
    case bigInteger([UInt8])
    case float(Double)
    case string(String)
    /// Raw bytes, which no tensor needs.
    case bytes
    case callable(PickleCallable)
    case tuple(Int)
    case list(Int)
    case dictionary(Int)
    case storage(PickleStorage)
    case tensor(Int)
}

/// A storage that a pickle refers to: flat elements that lie elsewhere in the file.
struct PickleStorage {
    /// The number of its entry in the machine's table of storages.
    var index: Int
    /// Where a view into the storage begins, in elements.
    var offset: Int
}

/// What the file says about a storage.
struct PickleStorageInfo {
    var key: String
    var dataType: DataType
    /// The number of elements.
    var count: Int
}

/// A tensor as a pickle describes it: a strided window on a storage, all in elements.
struct PickleTensor {
    var storage: PickleStorage
    var offset: Int
    var sizes: [Int]
    var strides: [Int]
}

/// The few Python names that a checkpoint may mention. Each has a meaning here; none is executed.
enum PickleCallable {
    case orderedDictionary
    case size
    case rebuildTensor
    case rebuildParameter
    case storageType(DataType)

    /// The meaning of the global `name`, nil where the name is refused.
    init?(_ name: String) {
        switch name {
        case "collections.OrderedDict": self = .orderedDictionary
        case "torch.Size": self = .size
        case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
            self = .rebuildTensor
        case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
            self = .rebuildParameter
        case "torch.DoubleStorage": self = .storageType(.float64)
        case "torch.FloatStorage": self = .storageType(.float32)
        case "torch.HalfStorage": self = .storageType(.float16)
        case "torch.BFloat16Storage": self = .storageType(.bfloat16)
        case "torch.LongStorage": self = .storageType(.int64)
        case "torch.IntStorage": self = .storageType(.int32)
        case "torch.ShortStorage": self = .storageType(.int16)
        case "torch.CharStorage": self = .storageType(.int8)
        case "torch.ByteStorage": self = .storageType(.uint8)
        case "torch.BoolStorage": self = .storageType(.bool)
        default: return nil
        }
    }
}
