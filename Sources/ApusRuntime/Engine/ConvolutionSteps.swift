import ApusGraph
import ApusTensor

extension StepBuilder {
    /// The fastest of what the library and our kernels offer for the node's problem.
    func convolution(_ node: Node) throws -> any Step {
        let (problem, operands) = convolutionProblem(node)
        let step = try fastest(node, problem, operands)
        guard problem.adds, memory(node.inputs[2]) != operands.input else { return step }
        return CopyFirst(
            step, from: memory(node.inputs[2]), to: operands.input,
            byteCount: graph.storageBytes(node.inputs[2]), team)
    }

    /// `fold` renews the operands' weights when the parameters have changed.
    func fastest(
        _ node: Node, _ problem: ConvolutionProblem, _ operands: ConvolutionStep.Operands,
        fold: (() -> Void)? = nil
    ) throws -> any Step {
        let candidates = ConvolutionAlgorithm.candidates(
            problem, threads: team.threads, given: tuner.given[problem.key])
        // Only made if there is something to time.
        lazy var trials = trials(node, problem, candidates, operands)
        // What direct sums take at least says something beside others only.
        let isBounded = candidates.contains { !$0.sumsDirectly }
        lazy var directly =
            Double(problem.fewestOperations) / (tuner.peak(problem.type, team) * 1e9)
        let chosen = tuner.choose(
            problem.key, candidates.map(\.rawValue), isWorthTiming: problem.isWorthTiming,
            leastSeconds: { name in
                let sumsDirectly = ConvolutionAlgorithm(rawValue: name)?.sumsDirectly ?? false
                return isBounded && sumsDirectly ? directly : 0
            }
        ) { name in
            guard let run = trials[name] else { return nil }
            if isInference { tuner.evictCaches(team) }
            return ContinuousClock().measure(run) / .seconds(1)
        }
        let algorithm = chosen.flatMap(ConvolutionAlgorithm.init) ?? candidates.first ?? .direct
        do {
            return try step(problem, algorithm, operands, fold: fold)
        } catch  where algorithm != .direct {
            // A choice made on another machine, whose library offers more.
            tuner.replace(problem.key, by: ConvolutionAlgorithm.direct.rawValue)
            return try step(problem, .direct, operands, fold: fold)
        }
    }

    private func step(
        _ problem: ConvolutionProblem, _ algorithm: ConvolutionAlgorithm,
        _ operands: ConvolutionStep.Operands, fold: (() -> Void)? = nil
    ) throws -> any Step {
        switch algorithm {
        case .direct, .winograd:
            return try ConvolutionStep(problem, algorithm, operands, library, team, fold: fold)
        case .depthwise:
            return DepthwiseStep(problem, operands, team, fold: fold)
        case .winogradTiles, .winogradChannels:
            let split = algorithm == .winogradTiles ? WinogradStep.Split.tiles : .channels
            return WinogradStep(problem, split, operands, team, fold: fold)
        case .stem:
            return StemStep(problem, operands, team, fold: fold)
        case .oneByOne:
            return OneByOneStep(problem, operands, team)
        case .strassen:
            return StrassenStep(problem, operands, team)
        case .ownDirect:
            return DirectStep(problem, operands, team, fold: fold)
        case .pairs:
            return PairsStep(problem, operands, team)
        case .vector:
            return VectorStep(problem, operands, team, fold: fold)
        case .amx:
            return AMXStep(problem, operands, team, fold: fold)
        }
    }

    /// Scratch memory beyond which an algorithm is not taken, 32 MiB a thread: on two threads Winograd's for one
    /// layer of ResNet-50 would be larger than those of all others, for a thousandth of its step.
    private var mostScratchBytes: Int { max(2, team.threads) * (32 << 20) }

    /// The candidates that can be used, to run on the session's own memory. They share scratch memory: the arena holds
    /// nothing yet, so it is where the node's own values are not, or the tuner's if there is not enough.
    private func trials(
        _ node: Node, _ problem: ConvolutionProblem, _ candidates: [ConvolutionAlgorithm],
        _ operands: ConvolutionStep.Operands
    ) -> [String: () -> Void] {
        var steps: [String: any Step] = [:]
        for algorithm in candidates {
            guard let step = try? step(problem, algorithm, operands) else { continue }
            // A scalar reference path is never worth timing beside another.
            if step.implementation?.hasPrefix("ref") ?? false { continue }
            // Where the library cannot do it there is no other choice.
            let isNeeded = algorithm == .direct || !candidates.contains(.direct)
            if !isNeeded && step.scratchBytes > mostScratchBytes { continue }
            steps[algorithm.rawValue] = step
        }
        let most = steps.values.map(\.scratchBytes).max() ?? 0
        let count = most.dividedRoundingUp(by: MemoryLayout<Float>.stride)
        let gap = program.plan.longestGap(besides: Set(node.inputs + node.outputs))
        let scratch =
            gap.count >= count
            ? arena.base + gap.lowerBound : tuner.scratch(count, team).base
        let converted = ConvertedWeights(steps.values)
        let context = RunContext(randomKey: RandomKey(seed: 0), parameterVersion: -2)
        return steps.compactMapValues { step in
            let place = converted.base(of: step)
            guard (try? step.bind(scratch: scratch, converted: place)) != nil else {
                return nil
            }
            return { withExtendedLifetime(converted) { step.run(context) } }
        }
    }

    private func normalizedInput(_ node: Node, _ n: Normalization) -> NormalizedInput {
        let vectors = node.inputs[2...5].map(pointer)
        return NormalizedInput(
            channels: shape(node.inputs[0])[1], epsilon: n.epsilon,
            rectifies: n.activation == .relu, gamma: vectors[0], beta: vectors[1], mean: vectors[2],
            variance: vectors[3], blocks: hostBlocks(node.inputs[0]))
    }

    private func convolutionProblem(
        _ node: Node
    ) -> (ConvolutionProblem, ConvolutionStep.Operands) {
        func problem(
            _ pass: ConvolutionProblem.Pass, _ window: Window, _ groups: Int, bias: ValueID?,
            input: ValueID, weights: ValueID, output: ValueID
        ) -> (ConvolutionProblem, ConvolutionStep.Operands) {
            (
                ConvolutionProblem(
                    pass: pass, inference: isInference, input: shape(input),
                    weights: shape(weights), output: shape(output), window: window,
                    groups: groups, bias: bias != nil, inputLayout: layout(input),
                    outputLayout: layout(output), type: type(input)),
                ConvolutionStep.Operands(
                    input: memory(input), weights: pointer(weights),
                    bias: bias.map(pointer), output: memory(output),
                    computesWeights: program.bindings[weights] == nil)
            )
        }
        let (x, y) = (node.inputs, node.outputs)
        switch node.op {
        case .convolution(let window, let groups):
            return problem(
                .forward, window, groups, bias: x.count == 3 ? x[2] : nil, input: x[0],
                weights: x[1], output: y[0])
        case .convolutionInputGradient(let window, let groups, _):
            var (problem, operands) = problem(
                .inputGradient, window, groups, bias: nil, input: y[0], weights: x[1],
                output: x[0])
            problem.adds = x.count > 2
            operands.signs = x.count > 3 ? memory(x[3]) : nil
            return (problem, operands)
        case .convolutionWeightGradient(let window, let groups, let bias):
            return problem(
                .weightGradient, window, groups, bias: bias ? y[1] : nil, input: x[0],
                weights: y[0], output: x[1])
        case .convolutionOfNormalized(let window, let n):
            var (problem, operands) = problem(
                .forward, window, 1, bias: nil, input: x[0], weights: x[1], output: y[0])
            problem.normalizes = true
            operands.normalization = normalizedInput(node, n)
            return (problem, operands)
        case .weightGradientOfNormalized(let window, let n):
            var (problem, operands) = problem(
                .weightGradient, window, 1, bias: nil, input: x[0], weights: y[0], output: x[1])
            problem.normalizes = true
            operands.normalization = normalizedInput(node, n)
            return (problem, operands)
        default:
            preconditionFailure("\(node.op) is not a convolution")
        }
    }
}
