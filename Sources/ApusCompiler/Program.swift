import ApusGraph
import ApusTensor

/// A graph that is ready to run: fused, laid out and planned. Its nodes are the steps, in order.
///
/// A program holds no memory. Executing it cannot fail on a shape and allocates nothing.
public struct Program: Sendable {
    public let graph: Graph
    public private(set) var plan: MemoryPlan
    public let options: Options
    /// Nodes before this index are the forward pass, the rest are gradients.
    public let forwardCount: Int
    /// Values stored with the parameters, buffers and gradients, by name.
    public let bindings: [ValueID: Binding]

    /// Storage outside the arena.
    public enum Binding: Hashable, Sendable {
        case parameter(String), gradient(String), buffer(String)
    }

    public struct Options: Hashable, Sendable {
        /// Channels in a block of the engine's layout.
        public var block: Int
        /// Whether normalizations absorb the additions and activations behind them.
        public var fusesNormalization = true
        /// Whether those with the batch's statistics absorb max pooling, too.
        public var fusesPooling = true
        /// Whether convolutions absorb the normalizations behind them, in programs without gradients.
        public var foldsNormalization = true
        /// Whether operations may overwrite operands nobody reads afterwards.
        public var worksInPlace = true
        /// Whether the normalizations of projected shortcuts are merged into those of their blocks' ends.
        public var fusesShortcuts = true
        /// Whether gradients are added up in the passes that read or write them.
        public var accumulatesGradients = true
        /// Whether squeeze-and-excitation is merged into the normalizations before it.
        public var fusesExcitation = true
        /// Whether 1x1 convolutions normalize the images they read, in programs with gradients.
        public var normalizesInputs = true
        /// Whether chains of concatenations share one image.
        public var sharesConcatenations = true
        /// The number format of images.
        public var precision = Precision.fp32
        /// What is computed again for the gradients instead of kept.
        public var recomputation = Recomputation.Policy.auto

        public init(block: Int) { self.block = block }

        /// Whether the engine's own 1x1 convolutions, which can add to an image and normalize what they read, are
        /// there: they are made for AVX-512 and 32-bit floats.
        var hasOwnConvolutions: Bool { block == 16 && precision == .fp32 }
    }

    /// Compiles a forward graph, with gradients if `differentiate` is set (it needs an output
    /// `loss`). Throws a `GraphError` where the graph is not valid.
    public init(
        _ source: Graph, differentiate: Bool, options: Options
    ) throws(GraphError) {
        let all = Recomputation(repeatsConvolutions: true)
        let first = options.recomputation == .all ? all : nil
        try self.init(source, differentiate: differentiate, options: options, first)
        if options.recomputation == .auto, differentiate, arenaBytes > Recomputation.largeBytes {
            let passes = Recomputation(repeatsConvolutions: false)
            try self.init(source, differentiate: differentiate, options: options, passes)
        }
    }

    private init(
        _ source: Graph, differentiate: Bool, options: Options, _ recomputation: Recomputation?
    ) throws(GraphError) {
        self.options = options
        let sharing = ConcatenationSharing(block: options.block)
        try source.verify()
        var graph = source
        if options.fusesNormalization {
            graph = NormalizationFusion(mergesPooling: options.fusesPooling)(graph)
        }
        if options.foldsNormalization && !differentiate { graph = ConvolutionFusion()(graph) }
        graph.removeDeadNodes()
        let forwardNodes = Set(graph.nodes.flatMap(\.outputs))
        if differentiate {
            graph = try graph.differentiated()
            graph.removeDeadNodes()
        }
        if options.fusesExcitation { graph = try ExcitationFusion()(graph) }
        if differentiate {
            if options.fusesShortcuts { graph = ShortcutFusion()(graph) }
            if options.accumulatesGradients {
                let pass = GradientAccumulation(addsConvolutions: options.hasOwnConvolutions)
                graph = pass(graph)
            }
            if let recomputation {
                let end = graph.nodes.lastIndex {
                    $0.outputs.contains(where: forwardNodes.contains)
                }
                let shared = options.sharesConcatenations ? sharing.hosts(graph) : [:]
                graph = try recomputation(
                    graph, forwardCount: (end ?? -1) + 1,
                    keeping: Set(shared.keys).union(shared.values))
                graph.removeDeadNodes()
            }
            try graph.separateGradients()
        }
        if options.precision == .bf16 { graph = try PrecisionAssignment()(graph) }
        graph = try LayoutAssignment(block: options.block)(graph)
        if options.sharesConcatenations { graph = try sharing(graph) }
        if differentiate && options.normalizesInputs && options.hasOwnConvolutions {
            graph = InputNormalization(block: options.block)(graph)
        }
        try graph.verify()
        self.graph = graph
        forwardCount =
            (graph.nodes.lastIndex { $0.outputs.contains(where: forwardNodes.contains) } ?? -1) + 1

        var bindings: [ValueID: Binding] = [:]
        for parameter in graph.parameters {
            bindings[parameter.value] = .parameter(parameter.name)
            if let gradient = graph.gradients[parameter.name] {
                bindings[gradient] = .gradient(parameter.name)
            }
        }
        for buffer in graph.buffers {
            bindings[buffer.value] = .buffer(buffer.name)
            if let update = graph.updates[buffer.name] { bindings[update] = .buffer(buffer.name) }
        }
        self.bindings = bindings
        plan = MemoryPlan(graph, external: Set(bindings.keys), inPlace: options.worksInPlace)
    }

    /// Plans again, with scratch memory for some nodes: floats by index.
    package mutating func reserve(scratch: [Int: Int]) {
        plan = MemoryPlan(
            graph, external: Set(bindings.keys), inPlace: options.worksInPlace, scratch: scratch)
    }

    /// Bytes of the arena: activations and their gradients at the program's peak.
    public var arenaBytes: Int { plan.arenaCount * MemoryLayout<Float>.stride }

    /// Bytes of parameters, buffers and, if there are any, gradients.
    public var stateBytes: Int {
        let parameters = graph.parameters.map(\.shape.count).reduce(0, +)
        let buffers = graph.buffers.map(\.shape.count).reduce(0, +)
        let copies = graph.gradients.isEmpty ? 1 : 2
        return (parameters * copies + buffers) * MemoryLayout<Float>.stride
    }

    /// Bytes the program needs at its peak, without the optimizer's state and the kernels' scratch.
    public var peakBytes: Int { arenaBytes + stateBytes }
}

extension Graph {
    /// Gives every parameter a gradient value of its own, which no forward node writes, so that it
    /// can be stored in the parameter's gradient slot.
    fileprivate mutating func separateGradients() throws(GraphError) {
        var taken = Set(nodes.filter(\.inputs.isEmpty).flatMap(\.outputs))
        taken.formUnion(outputs.values)
        for parameter in parameters {
            guard let gradient = gradients[parameter.name] else { continue }
            if !taken.insert(gradient).inserted {
                gradients[parameter.name] =
                    try append(.reorder(.plain), [gradient], path: parameter.name)[0]
            }
        }
    }
}

extension Program: CustomStringConvertible {
    /// One line a step with the place of what it writes, and the memory at the end.
    public var description: String {
        var lines: [String] = []
        var isForward = true
        for (index, node) in graph.nodes.enumerated() where !node.inputs.isEmpty {
            if isForward && index >= forwardCount {
                lines.append("-- gradients --")
                isForward = false
            }
            let outputs = node.outputs.map { value in
                let place =
                    plan.offsets[value].map { "@\($0 * MemoryLayout<Float>.stride)" } ?? "bound"
                let type = graph.type(value) == .bfloat16 ? " bf16" : ""
                return "\(value):\(graph.shape(value)) \(graph.layout(value))\(type) \(place)"
            }
            let inputs = node.inputs.map(\.description).joined(separator: ", ")
            lines.append(
                "\(index)  \(outputs.joined(separator: ", ")) = \(node.op)(\(inputs))  # \(node.path)"
            )
        }
        func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 19)) >> 20) MiB" }
        lines.append(
            "peak memory \(mebibytes(peakBytes)): arena \(mebibytes(arenaBytes)), "
                + "parameters, gradients and buffers \(mebibytes(stateBytes))")
        return lines.joined(separator: "\n")
    }
}
