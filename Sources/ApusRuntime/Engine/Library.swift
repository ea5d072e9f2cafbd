import ApusTensor
import CDNNL

/// A failure inside oneDNN.
public struct EngineError: Error, Hashable, CustomStringConvertible {
    public let description: String

    static func check(_ status: dnnl_status_t, _ doing: @autoclosure () -> String) throws {
        guard status == dnnl_success else {
            throw EngineError(
                description: "oneDNN could not \(doing()) (status \(status.rawValue))")
        }
    }
}

/// oneDNN's CPU engine and its stream.
final class Library {
    let engine: dnnl_engine_t
    let stream: dnnl_stream_t

    init() throws {
        var engine: dnnl_engine_t?
        try EngineError.check(dnnl_engine_create(&engine, dnnl_cpu, 0), "create an engine")
        var stream: dnnl_stream_t?
        try EngineError.check(
            dnnl_stream_create(&stream, engine, dnnl_stream_default_flags.rawValue),
            "create a stream")
        guard let engine, let stream else {
            throw EngineError(description: "oneDNN returned no engine")
        }
        self.engine = engine
        self.stream = stream
    }

    deinit {
        dnnl_stream_destroy(stream)
        dnnl_engine_destroy(engine)
    }
}

/// The shape, type and layout of a block of memory.
final class Descriptor {
    let handle: OpaquePointer

    init(taking handle: OpaquePointer) { self.handle = handle }

    init(_ dimensions: [Int], _ tag: dnnl_format_tag_t, _ type: DataType = .float32) {
        let dims = dimensions.map(Int64.init)
        guard let handle = apus_md_create(Int32(dims.count), dims, type.library, tag) else {
            preconditionFailure("oneDNN does not know the layout \(tag) of \(dimensions)")
        }
        self.handle = handle
    }

    deinit { apus_md_destroy(handle) }

    var byteCount: Int { apus_md_size(handle) }

    static func == (a: Descriptor, b: Descriptor) -> Bool { apus_md_equal(a.handle, b.handle) }

    /// An image in a graph's layout.
    static func image(_ shape: Shape, _ layout: Layout, _ type: DataType) -> Descriptor {
        Descriptor(shape.dimensions, layout.tag, type)
    }

    /// Weights [out, in / groups, kh, kw] with an explicit dimension of groups if there are several,
    /// in the layout of files.
    static func weights(_ shape: Shape, groups: Int) -> Descriptor {
        groups == 1
            ? Descriptor(shape.dimensions, dnnl_oihw)
            : Descriptor(grouped(shape, groups), dnnl_goihw)
    }

    /// Likewise, in the layout an algorithm likes best.
    static func freeWeights(_ shape: Shape, groups: Int, _ type: DataType) -> Descriptor {
        Descriptor(
            groups == 1 ? shape.dimensions : grouped(shape, groups), dnnl_format_tag_any, type)
    }

    private static func grouped(_ shape: Shape, _ groups: Int) -> [Int] {
        [groups, shape[0] / groups, shape[1], shape[2], shape[3]]
    }

    static func matrix(_ rows: Int, _ columns: Int, transposed: Bool) -> Descriptor {
        Descriptor([rows, columns], transposed ? dnnl_ba : dnnl_ab)
    }
}

extension Layout {
    var tag: dnnl_format_tag_t {
        switch self {
        case .plain: dnnl_nchw
        case .blocked(16): dnnl_nChw16c
        case .blocked: dnnl_nChw8c
        case .bits: preconditionFailure("the library knows no bits")
        }
    }
}

/// A primitive with its arguments; the pointers are set once, when all memory is known.
final class Primitive {
    let implementation: String
    let scratchBytes: Int
    /// What the library keeps for a primitive besides its arguments: descriptions and machine code.
    /// Measured on oneDNN 2.6.3 with 1x1 convolutions and changes of layout: 25 KiB, and the
    /// descriptions of three arguments.
    static let keptBytes = 28 << 10
    private let primitive: dnnl_primitive_t
    /// The primitive's own.
    private let description: OpaquePointer
    private let library: Library
    private var arguments: [dnnl_exec_arg_t] = []
    private var descriptors: [Descriptor] = []

    /// Takes over `description`.
    init(_ description: dnnl_primitive_desc_t, _ library: Library) throws {
        var primitive: dnnl_primitive_t?
        let status = dnnl_primitive_create(&primitive, description)
        // The primitive has a copy.
        dnnl_primitive_desc_destroy(description)
        var own: OpaquePointer?
        guard status == dnnl_success, let primitive,
            dnnl_primitive_get_primitive_desc(primitive, &own) == dnnl_success,
            let description = own
        else {
            if let primitive { dnnl_primitive_destroy(primitive) }
            throw EngineError(
                description: "oneDNN could not create a primitive (status \(status.rawValue))")
        }
        self.primitive = primitive
        self.description = description
        self.library = library
        implementation = String(cString: apus_pd_implementation(description))
        scratchBytes =
            apus_pd_md(description, dnnl_query_scratchpad_md)
            .map { Descriptor(taking: $0).byteCount } ?? 0
    }

    deinit {
        for argument in arguments { dnnl_memory_destroy(argument.memory) }
        dnnl_primitive_destroy(primitive)
    }

    /// What the library chose for an argument that was left free.
    func chosen(_ query: dnnl_query_t) throws -> Descriptor {
        guard let handle = apus_pd_md(description, query) else {
            throw EngineError(description: "oneDNN gave no layout for \(implementation)")
        }
        return Descriptor(taking: handle)
    }

    func set(
        _ argument: Int32, _ descriptor: Descriptor, _ pointer: UnsafeMutableRawPointer
    ) throws {
        if let index = arguments.firstIndex(where: { $0.arg == argument }) {
            try EngineError.check(
                dnnl_memory_set_data_handle(arguments[index].memory, pointer), "set memory")
            return
        }
        var memory: dnnl_memory_t?
        try EngineError.check(
            apus_memory_create(&memory, descriptor.handle, library.engine, pointer),
            "describe memory")
        arguments.append(dnnl_exec_arg_t(arg: argument, memory: memory))
        descriptors.append(descriptor)
    }

    func setScratch(_ pointer: UnsafeMutableRawPointer) throws {
        guard scratchBytes > 0 else { return }
        try set(DNNL_ARG_SCRATCHPAD, try chosen(dnnl_query_scratchpad_md), pointer)
    }

    func execute() {
        let status = dnnl_primitive_execute(
            primitive, library.stream, Int32(arguments.count), arguments)
        // Everything that can be wrong was checked when the step was prepared.
        precondition(status == dnnl_success, "\(implementation) failed with status \(status)")
    }

    /// The conversion of memory from one layout to another.
    static func reorder(
        _ library: Library, from: Descriptor, to: Descriptor
    ) throws -> Primitive {
        var description: dnnl_primitive_desc_t?
        try EngineError.check(
            apus_reorder_pd(&description, library.engine, from.handle, to.handle),
            "plan a change of layout")
        guard let description else { throw EngineError(description: "oneDNN returned nothing") }
        return try Primitive(description, library)
    }
}
