import ApusCompiler
import ApusGraph
import ApusTensor
import Foundation

/// A program with its memory, ready to run on oneDNN.
///
/// Everything that can go wrong goes wrong when the session is made; a run only computes. A session
/// may be used from any thread, one run at a time; the work happens on the engine's own thread.
public final class Session {
    public struct Configuration: Sendable {
        /// Threads of the engine; by default all cores.
        public var threads = Machine.cores
        /// Algorithm choices that are not questioned, by problem: those of a checkpoint.
        public var choices: [String: String] = [:]
        /// Whether algorithms that are not known yet are timed against each other; else convolutions
        /// are computed directly.
        public var tunes = true
        /// Whether timings are read from and kept in the tuner's cache file.
        public var usesTunerCache = true
        /// Whether normalizations absorb the additions and activations behind them.
        public var fusesNormalization = true
        /// Whether those with the batch's statistics absorb max pooling, too.
        public var fusesPooling = true
        /// Whether convolutions absorb the normalizations behind them, in sessions without gradients.
        public var foldsNormalization = true
        /// Whether operations may overwrite operands nobody reads afterwards.
        public var worksInPlace = true
        /// Whether the normalizations of projected shortcuts are merged into those of their blocks' ends.
        public var fusesShortcuts = true
        /// Whether gradients are added up in the passes that read or write them.
        public var accumulatesGradients = true
        /// Whether squeeze-and-excitation is merged into the normalizations before it.
        public var fusesExcitation = true
        /// Whether 1x1 convolutions normalize the images they read, in sessions with gradients.
        public var normalizesInputs = true
        /// Whether chains of concatenations share one image.
        public var sharesConcatenations = true
        /// The number format of images; `bf16` needs a CPU with instructions for it.
        public var precision = Precision.fp32
        /// What a training session computes again for the gradients instead of keeping it: less
        /// memory, a little more time, the same results.
        public var recomputation = Recomputation.Policy.auto
        public init() {}
    }

    public let program: Program
    public let parameters: ParameterStore
    /// The algorithm of every convolution, by problem: what a checkpoint stores.
    public let choices: [String: String]
    /// What runs on the library or our convolutions: layer path, operation and name of the kernel.
    public let implementations: [(path: String, operation: String, kernel: String)]
    /// Bytes of the arena with the kernels' scratch memory, of the weights that steps keep in layouts of
    /// their own, of the library's primitives and of the steps, without the parameters.
    public let workspaceBytes: Int

    /// Threads that share the work.
    public var threads: Int { team.threads }

    private let library: Library
    private let arena: Arena
    /// The steps hold pointers into it.
    private let converted: ConvertedWeights
    private let team: Team
    private let steps: [(node: Node, step: any Step)]
    /// The steps before this one are the forward pass.
    private let forwardSteps: Int

    /// Compiles `graph` (with gradients if `differentiate`), allocates its memory, tunes it.
    /// Throws a `GraphError` for graphs that do not fit together and an `EngineError` where oneDNN
    /// cannot do what is asked.
    public convenience init(
        _ graph: Graph, parameters: ParameterStore, differentiate: Bool = false,
        configuration: Configuration = Configuration()
    ) throws {
        var options = Program.Options(block: Machine.block)
        options.fusesNormalization = configuration.fusesNormalization
        options.fusesPooling = configuration.fusesPooling
        options.foldsNormalization = configuration.foldsNormalization
        options.worksInPlace = configuration.worksInPlace
        options.fusesShortcuts = configuration.fusesShortcuts
        options.accumulatesGradients = configuration.accumulatesGradients
        options.fusesExcitation = configuration.fusesExcitation
        options.normalizesInputs = configuration.normalizesInputs
        options.sharesConcatenations = configuration.sharesConcatenations
        options.precision = configuration.precision
        options.recomputation = configuration.recomputation
        let program = try Program(graph, differentiate: differentiate, options: options)
        try self.init(program, parameters: parameters, configuration: configuration)
    }

    /// Allocates the memory of a compiled program and tunes it.
    package init(
        _ program: Program, parameters: ParameterStore, configuration: Configuration
    ) throws {
        guard program.options.precision == .fp32 || Machine.hasBFloat16 else {
            throw EngineError(
                description: "this CPU has no instructions for brain floats (avx512_bf16); "
                    + "use --precision fp32, or auto for whatever the CPU offers")
        }
        let available = Machine.memoryBytes
        guard program.peakBytes < available else {
            throw EngineError(
                description: "the network needs \(program.peakBytes >> 20) MiB for this batch, of "
                    + "\(available >> 20) that can be used; choose a smaller batch or image")
        }
        let isInference = program.graph.gradients.isEmpty
        if !isInference { parameters.allocateGradients() }
        let team = Team(threads: max(1, configuration.threads))
        let machine =
            "oneDNN \(Machine.libraryVersion), kernels \(Tuner.kernels), "
            + "\(Machine.processor), \(team.threads) threads:"
        let tuner = Tuner(
            machine: machine, given: configuration.choices,
            file: configuration.usesTunerCache && configuration.tunes ? Tuner.cacheFile : nil,
            tunes: configuration.tunes)
        let (library, planned, arena, converted, steps) = try EngineThread.shared.perform {
            team.configure()
            let library = try Library()
            let folding = Arena(count: program.graph.largestFoldedWeights)
            func build(_ program: Program) throws -> (Arena, [(index: Int, step: any Step)]) {
                let arena = Arena(count: program.plan.arenaCount)
                // Zeros would flatter the timings, new pages lengthen them.
                tuner.beforeFirstTiming = {
                    arena.fillRandomly(team)
                    team.clear(parameters.gradientBlock)
                }
                defer { tuner.beforeFirstTiming = {} }
                let builder = StepBuilder(
                    program: program, arena: arena, store: parameters, library: library,
                    team: team, tuner: tuner, isInference: isInference, folding: folding)
                let steps = try program.graph.nodes.enumerated().compactMap { index, node in
                    try builder.step(node).map { (index, $0) }
                }
                return (arena, steps)
            }
            // What scratch memory is needed is known once the algorithms are chosen, and then has a place in the
            // plan: the steps are made twice.
            let needs = Session.scratch(try build(program).1)
            var planned = program
            planned.reserve(scratch: needs)
            let (arena, steps) = try build(planned)
            precondition(Session.scratch(steps) == needs, "steps are not what they were")
            let converted = ConvertedWeights(steps.map(\.step))
            for (index, step) in steps {
                let place = planned.plan.scratchOffsets[index] ?? 0
                try step.bind(scratch: arena.base + place, converted: converted.base(of: step))
            }
            return (
                library, planned, arena, converted,
                steps.map { (node: planned.graph.nodes[$0.index], step: $0.step) }
            )
        }
        tuner.save()
        self.program = planned
        self.parameters = parameters
        self.library = library
        self.arena = arena
        self.converted = converted
        self.team = team
        self.steps = steps
        let forwardNodes = program.graph.nodes.prefix(program.forwardCount)
        let isForward = Set(forwardNodes.flatMap(\.outputs))
        forwardSteps = steps.prefix { $0.node.outputs.contains(where: isForward.contains) }.count
        choices = tuner.used
        implementations = steps.compactMap { node, step in
            step.implementation.map { (node.path, "\(node.op)", $0) }
        }
        workspaceBytes =
            arena.byteCount + converted.byteCount + steps.map(\.step.keptBytes).reduce(0, +)
            + Set(steps.flatMap(\.step.primitives)).count * Primitive.keptBytes
            + steps.count * Session.bytesPerStep
            + program.graph.largestFoldedWeights * MemoryLayout<Float>.stride
    }

    /// Nodes, steps and what they point to. Measured: 4 to 7 KiB a step of networks of 100 to 800 steps.
    private static let bytesPerStep = 5 << 10

    /// Floats of scratch memory that steps need, by their node.
    private static func scratch(_ steps: [(index: Int, step: any Step)]) -> [Int: Int] {
        let needs = steps.map { ($0.index, $0.step.scratchBytes) }.filter { $0.1 > 0 }
        return Dictionary(uniqueKeysWithValues: needs).mapValues {
            $0.dividedRoundingUp(by: MemoryLayout<Float>.stride)
        }
    }

    /// The shape of the input called `name`; a program without it is a mistake of the caller.
    public func inputShape(_ name: String) -> Shape { program.graph.shape(input(name)) }

    /// The shape of the output called `name`.
    public func outputShape(_ name: String) -> Shape {
        guard let value = program.graph.outputs[name] else {
            preconditionFailure("the program has no output '\(name)'")
        }
        return program.graph.shape(value)
    }

    /// Fills the input called `name`; the number of elements must be that of its shape. Inputs are
    /// filled before every run, which may use their memory for other values once they are read.
    public func setInput(_ name: String, _ elements: some Collection<Float>) {
        let value = input(name)
        precondition(
            elements.count == program.graph.shape(value).count,
            "\(elements.count) elements do not fill \(name) \(program.graph.shape(value))")
        _ = UnsafeMutableBufferPointer(start: address(value), count: elements.count)
            .update(fromContentsOf: elements)
    }

    /// Runs the whole program: the forward pass and, if it was compiled with gradients, these.
    /// `randomKey` decides what dropout zeroes.
    public func run(randomKey: RandomKey = RandomKey(seed: 0)) {
        run(steps[...], randomKey)
    }

    /// Runs the forward pass alone, for a loss that the caller computes from a seeded output.
    public func runForward(randomKey: RandomKey = RandomKey(seed: 0)) {
        run(steps[..<forwardSteps], randomKey)
    }

    /// Runs the backward pass of the last forward pass, whose key must be given again, from the
    /// gradients that the seeded outputs' inputs were filled with in between.
    public func runBackward(randomKey: RandomKey = RandomKey(seed: 0)) {
        run(steps[forwardSteps...], randomKey)
    }

    private func run(_ steps: ArraySlice<(node: Node, step: any Step)>, _ randomKey: RandomKey) {
        let context = RunContext(
            randomKey: randomKey, parameterVersion: parameters.version)
        EngineThread.shared.perform {
            team.configure()
            for (_, step) in steps { step.run(context) }
        }
    }

    /// A copy of the output called `name` after a run.
    public func output(_ name: String) -> Tensor {
        guard let value = program.graph.outputs[name] else {
            preconditionFailure("the program has no output '\(name)'")
        }
        let shape = program.graph.shape(value)
        return Tensor(
            shape, Array(UnsafeBufferPointer(start: address(value), count: shape.count)))
    }

    /// Runs the program once and returns the seconds of every step, in order.
    func profile() -> [(node: Node, kernel: String?, seconds: Double)] {
        let context = RunContext(
            randomKey: RandomKey(seed: 0), parameterVersion: parameters.version)
        let clock = ContinuousClock()
        return EngineThread.shared.perform {
            team.configure()
            return steps.map { node, step in
                (node, step.implementation, clock.measure { step.run(context) } / .seconds(1))
            }
        }
    }

    private func input(_ name: String) -> ValueID {
        guard let value = program.graph.inputs[name] else {
            preconditionFailure("the program has no input '\(name)'")
        }
        return value
    }

    private func address(_ value: ValueID) -> UnsafeMutablePointer<Float> {
        guard let offset = program.plan.offsets[value] else {
            preconditionFailure("\(value) has no place in the arena")
        }
        return arena.base + offset
    }
}

extension Graph {
    /// Elements of the largest weights with which a normalization is merged.
    fileprivate var largestFoldedWeights: Int {
        nodes.map { node in
            if case .normalizedConvolution = node.op { shape(node.inputs[1]).count } else { 0 }
        }.max() ?? 0
    }
}

extension Arena {
    /// Numbers in -1..<1 that repeat every 64 Ki. All members write: most of the time goes to new pages.
    fileprivate func fillRandomly(_ team: Team) {
        let key = RandomKey(seed: 1)
        let period = 1 << 16
        let numbers = (0..<period).map { 2 * key.uniform(at: $0) - 1 }
        team.split(count.dividedRoundingUp(by: period)) { begin, end in
            for start in stride(from: begin * period, to: min(end * period, count), by: period) {
                (base + start).update(from: numbers, count: min(period, count - start))
            }
        }
    }
}
