import ApusCompiler
import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct ProgramTests {
    private let options = Program.Options(block: 16)

    @Test(arguments: Models.names) func theForwardPassComesFirst(name: String) throws {
        let source = try Models.named(name).lossGraph(batch: 2)
        let forward = try Program(source, differentiate: false, options: options)
        #expect(forward.forwardCount == forward.graph.nodes.count)
        var separate = options
        separate.fusesShortcuts = false
        separate.normalizesInputs = false
        let training = try Program(source, differentiate: true, options: separate)
        // The forward pass of a training step is the forward pass, which also saves signs.
        #expect(training.forwardCount == forward.forwardCount)
        #expect(
            training.graph.nodes[..<training.forwardCount].map { withoutSigns($0.op) }
                == forward.graph.nodes.map(\.op))
        // Merging shortcuts changes nodes in their places.
        separate.fusesShortcuts = true
        let merged = try Program(source, differentiate: true, options: separate)
        #expect(merged.forwardCount == forward.forwardCount)
        let loss = try #require(training.graph.outputs["loss"])
        #expect(
            training.graph.nodes[..<training.forwardCount].contains { $0.outputs.contains(loss) })
        for gradient in training.graph.gradients.values {
            #expect(
                training.graph.nodes[training.forwardCount...]
                    .contains { $0.outputs.contains(gradient) })
        }
    }

    private func withoutSigns(_ op: Op) -> Op {
        guard case .batchNorm(var n) = op else { return op }
        n.savesSigns = false
        return .batchNorm(n)
    }

    @Test(arguments: ["resnet20-cifar", "resnet50"])
    func everythingKeptIsBound(name: String) throws {
        let source = try Models.named(name).lossGraph(batch: 2)
        let program = try Program(source, differentiate: true, options: options)
        let graph = program.graph
        for parameter in graph.parameters {
            #expect(program.bindings[parameter.value] == .parameter(parameter.name))
            let gradient = try #require(graph.gradients[parameter.name])
            #expect(program.bindings[gradient] == .gradient(parameter.name))
            #expect(graph.storageCount(gradient) == parameter.shape.count)
        }
        for buffer in graph.buffers {
            #expect(program.bindings[buffer.value] == .buffer(buffer.name))
            let update = try #require(graph.updates[buffer.name])
            #expect(program.bindings[update] == .buffer(buffer.name))
        }
        #expect(
            program.bindings.count == 2 * graph.parameters.count + 2 * graph.buffers.count)
        // Every other value has a place.
        for value in graph.nodes.flatMap(\.outputs) where program.bindings[value] == nil {
            #expect(program.plan.offsets[value] != nil)
        }
    }

    @Test func memoryAddsUp() throws {
        let network = try Models.named("resnet20-cifar")
        let training = try Program(
            network.lossGraph(batch: 8), differentiate: true, options: options)
        let inference = try Program(
            network.graph(batch: 8, mode: .inference), differentiate: false, options: options)
        let buffers = 2 * (16 + 6 * 16 + 6 * 32 + 6 * 64)
        #expect(inference.stateBytes == 4 * (269_722 + buffers))
        #expect(training.stateBytes == 4 * (2 * 269_722 + buffers))
        for program in [training, inference] {
            #expect(program.arenaBytes == 4 * program.plan.arenaCount)
            #expect(program.peakBytes == program.arenaBytes + program.stateBytes)
        }
        #expect(inference.arenaBytes < training.arenaBytes)
        let larger = try Program(
            network.lossGraph(batch: 16), differentiate: true, options: options)
        #expect(larger.stateBytes == training.stateBytes)
        let ratio = Double(larger.arenaBytes) / Double(training.arenaBytes)
        #expect(abs(ratio - 2) < 0.05)
    }

    @Test func printingShowsStepsAndMemory() throws {
        let source = try Models.named("resnet20-cifar").lossGraph(batch: 2)
        let text = try Program(source, differentiate: true, options: options).description
        let lines = text.split(separator: "\n")
        #expect(lines.first?.contains("= convolution 3x3 pad 1(") == true)
        #expect(lines.first?.contains("2x16x32x32 nChw16c @") == true)
        #expect(lines.first?.hasSuffix("# conv1") == true)
        #expect(lines.filter { $0 == "-- gradients --" }.count == 1)
        #expect(text.contains("batch norm + residual + relu("))
        #expect(text.contains("16x3x3x3 plain bound = convolution weight gradient 3x3 pad 1("))
        #expect(lines.last?.hasPrefix("peak memory ") == true)
        let forward = try Program(source, differentiate: false, options: options).description
        #expect(!forward.contains("-- gradients --"))
    }

    @Test func fusionIsAChoice() throws {
        let source = try Models.named("resnet20-cifar").lossGraph(batch: 2)
        var separate = options
        separate.fusesNormalization = false
        let fused = try Program(source, differentiate: true, options: options)
        let apart = try Program(source, differentiate: true, options: separate)
        #expect(apart.graph.nodes.contains { $0.op == .activation(.relu) })
        #expect(fused.graph.nodes.count < apart.graph.nodes.count)
    }

    /// The results of 3x3 convolutions and every fifth end of a block are kept, all else is computed again.
    @Test func recomputationTradesMemory() throws {
        let source = try Models.named("resnet50").lossGraph(batch: 8)
        func program(_ policy: Recomputation.Policy, differentiate: Bool = true) throws -> Program {
            var options = options
            options.recomputation = policy
            options.normalizesInputs = false
            return try Program(source, differentiate: differentiate, options: options)
        }
        let kept = try program(.none)
        let passes = try program(.auto)
        let all = try program(.all)
        // Small programs keep what they have.
        #expect(kept.arenaBytes < Recomputation.largeBytes)
        #expect(passes.arenaBytes == kept.arenaBytes)
        #expect(Double(all.arenaBytes) < 0.6 * Double(kept.arenaBytes))
        // Statistics are updated as often as before.
        func count(_ program: Program, _ matches: (Op) -> Bool) -> Int {
            program.graph.nodes.count { matches($0.op) }
        }
        for program in [kept, all] {
            #expect(count(program) { if case .movingAverage = $0 { true } else { false } } == 106)
            let norms = count(program) { if case .batchNorm = $0 { true } else { false } }
            // Four are those of projected shortcuts, of which the statistics are left.
            #expect(norms == 49)
            #expect(count(program) { $0 == .channelMoments } == 4)
        }
        #expect(all.forwardCount == kept.forwardCount)
        #expect(count(all) { if case .normalize = $0 { true } else { false } } > 45)
        // Without gradients there is nothing to keep.
        let forward = try program(.all, differentiate: false)
        #expect(forward.graph.nodes.count == kept.forwardCount)
    }

    /// PyTorch takes 3130 MiB for this step; weights, gradients and momenta are 292 of them.
    @Test func largeProgramsRepeatPasses() throws {
        let source = try Models.named("resnet50").lossGraph(batch: 32)
        let program = try Program(source, differentiate: true, options: options)
        func convolutions(_ nodes: ArraySlice<Node>) -> Int {
            nodes.count { if case .convolution = $0.op { true } else { false } }
        }
        #expect(program.arenaBytes < 1500 << 20)
        #expect(convolutions(program.graph.nodes[program.forwardCount...]) == 0)
    }

    @Test func brokenGraphsAreRefused() throws {
        let network = try Models.named("resnet20-cifar")
        #expect(throws: GraphError.self) {
            try Program(
                network.graph(batch: 2, mode: .training), differentiate: true, options: options)
        }
        var graph = try network.lossGraph(batch: 2)
        graph.nodes.reverse()
        #expect(throws: GraphError.self) {
            try Program(graph, differentiate: false, options: options)
        }
    }

    @Test func unusedLayersCostNothing() throws {
        var builder = GraphBuilder(mode: .inference)
        let x = builder.input("images", [1, 3, 8, 8])
        let y = try builder.convolution(x, Convolution(8, kernel: 3), path: "used")
        _ = try builder.convolution(x, Convolution(8, kernel: 3), path: "unused")
        builder.output("logits", y)
        let program = try Program(builder.graph, differentiate: false, options: options)
        let computing = program.graph.nodes.filter { !$0.inputs.isEmpty }
        // The last node brings the image to the layout of callers.
        #expect(computing.map(\.path) == ["used", "logits"])
    }
}
