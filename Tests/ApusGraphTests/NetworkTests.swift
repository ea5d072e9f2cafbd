import ApusGraph
import ApusTensor
import Foundation
import Testing

@Suite struct NetworkTests {
    private func names(
        mode: GraphBuilder.Mode = .training, @LayerBuilder _ layers: () -> [Layer]
    ) throws -> [String] {
        try Network("n", input: [8, 8, 8], layers).graph(batch: 2, mode: mode)
            .parameters.map(\.name)
    }

    @Test func namesFollowTheStructure() throws {
        let names = try names {
            Convolution("conv1", 8, kernel: 3, bias: true)
            Sequence("layer1") {
                Residual("0") {
                    Convolution("conv1", 8, kernel: 3)
                    BatchNorm("bn1")
                }
                // The empty name adds nothing: these belong to `layer1.1`.
                Sequence("1") {
                    Residual("") { Convolution("conv1", 8, kernel: 3) }
                }
            }
            GlobalAveragePool()
            Flatten()
            Dense("fc", 10)
        }
        #expect(
            names == [
                "conv1.weight", "conv1.bias", "layer1.0.conv1.weight", "layer1.0.bn1.weight",
                "layer1.0.bn1.bias", "layer1.1.conv1.weight", "fc.weight", "fc.bias",
            ])
    }

    @Test func unnamedLayersAreNamedByPosition() throws {
        let names = try names {
            Convolution(8, kernel: 3)
            Activation(.relu)
            Sequence {
                Convolution(8, kernel: 3)
                Concatenate {
                    Identity()
                    Convolution(4, kernel: 1)
                    Convolution("named", 4, kernel: 1)
                }
                Convolution(8, kernel: 1)
            }
            Scale {
                GlobalAveragePool()
                Convolution(8, kernel: 1)
            }
            // A shortcut's positions go on where the body's end.
            Residual {
                Convolution(8, kernel: 3)
                Activation(.relu)
            } shortcut: {
                Convolution(8, kernel: 1)
            }
        }
        #expect(
            names == [
                "0.weight", "2.0.weight", "2.1.1.weight", "2.1.named.weight", "2.2.weight",
                "3.1.weight", "4.0.weight", "4.2.weight",
            ])
    }

    @Test func bothModesHoldTheSameParametersAndBuffers() throws {
        let network = Network("n", input: [3, 8, 8]) {
            Convolution("conv", 8, kernel: 3)
            BatchNorm("bn")
        }
        let training = try network.graph(batch: 2, mode: .training)
        let inference = try network.graph(batch: 2, mode: .inference)
        #expect(training.parameters.map(\.name) == inference.parameters.map(\.name))
        #expect(training.buffers.map(\.name) == ["bn.running_mean", "bn.running_var"])
        #expect(inference.buffers.map(\.name) == training.buffers.map(\.name))
        #expect(Set(training.updates.keys) == ["bn.running_mean", "bn.running_var"])
        #expect(inference.updates.isEmpty)
        #expect(training.parameters.map(\.role) == [.weight, .scale, .shift])
    }

    @Test(arguments: [false, true]) func buildersTakeConditionsAndLoops(wide: Bool) throws {
        let names = try names {
            for index in 0..<3 {
                Convolution("conv\(index)", 8, kernel: 3)
                if index == 1 { BatchNorm("bn\(index)") }
            }
            if wide {
                Convolution("wide", 64, kernel: 1)
            } else {
                Convolution("narrow", 8, kernel: 1)
            }
            [Convolution("extra", 8, kernel: 1).layer]
        }
        #expect(
            names == [
                "conv0.weight", "conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight",
                wide ? "wide.weight" : "narrow.weight", "extra.weight",
            ])
    }

    @Test func fansSeeGroups() throws {
        let network = Network("n", input: [8, 8, 8]) {
            Convolution("conv", 16, kernel: 3, groups: 4, bias: true)
            GlobalAveragePool()
            Flatten()
            Dense("fc", 10)
        }
        let parameters = try network.graph(batch: 1, mode: .inference).parameters
        let fans = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.fans) })
        #expect(fans["conv.weight"]?.input == 2 * 9)
        #expect(fans["conv.weight"]?.output == 4 * 9)
        #expect(fans["conv.bias"] == fans["conv.weight"])
        #expect(fans["fc.weight"]?.input == 16)
        #expect(fans["fc.bias"]?.output == 10)
    }

    /// One of every kind of layer, with nothing at its default.
    private let everything = Network("everything", input: [3, 32, 24]) {
        Convolution(
            "conv", 16, kernel: 3, stride: 2, padding: .same, dilation: 1, groups: 1, bias: true,
            initializer: .normal(deviation: 0.02))
        BatchNorm("bn", epsilon: 1e-3, momentum: 0.01, scale: .constant(0))
        for function in ActivationFunction.all { Activation(function) }
        MaxPool(kernel: 3, stride: 2, padding: .explicit(1))
        Convolution.depthwise("dw", kernel: 5, initializer: .lecunNormal)
        Residual("res") {
            Convolution("a", 16, kernel: 1, initializer: .heUniform(.in))
            StochasticDepth(0.2)
        } shortcut: {
            SubsamplePad(16, stride: 1)
        }
        Concatenate("cat") {
            Identity()
            Convolution(8, kernel: 1, initializer: .xavierUniform)
        }
        Scale("se") {
            GlobalAveragePool()
            Convolution(24, kernel: 1, initializer: .xavierNormal)
            Activation(.sigmoid)
        }
        AveragePool(kernel: 2, stride: 1, padding: .same, includesPadding: false)
        Sequence("head") {
            Flatten()
            Dropout(0.1)
            Dense("fc", 10, bias: false, initializer: .heNormal(.in))
            Softmax()
        }
    }

    @Test func descriptionsSurviveStorage() throws {
        let data = try JSONEncoder().encode(everything)
        let decoded = try JSONDecoder().decode(Network.self, from: data)
        #expect(decoded == everything)
        #expect(decoded.hashValue == everything.hashValue)
        for mode in [GraphBuilder.Mode.training, .inference] {
            let graph = try decoded.graph(batch: 2, mode: mode)
            try graph.verify()
            #expect(try graph == everything.graph(batch: 2, mode: mode))
        }
    }

    @Test func damagedDescriptionsDoNotDecode() {
        let negative = Data(#"{"name": "n", "input": [3, -1, 2], "layers": []}"#.utf8)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(Network.self, from: negative)
        }
    }

    @Test func printingShowsEveryNode() throws {
        let network = Network("n", input: [3, 8, 8]) {
            Convolution("conv1", 4, kernel: 3, stride: 2, groups: 1)
            BatchNorm("bn1")
            Activation(.leakyReLU(slope: 0.1))
            Residual("res") { Convolution("a", 4, kernel: 3) }
        }
        let text = try network.graph(batch: 2, mode: .inference).description
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines[0] == "%0 = input() -> 2x3x8x8  # images")
        #expect(lines[1] == "%1 = parameter() -> 4x3x3x3  # conv1.weight")
        #expect(lines[2] == "%2 = convolution 3x3 /2 pad 1(%0, %1) -> 2x4x4x4  # conv1")
        #expect(lines.contains { $0.contains("= normalize(%2, %3, %4, %5, %6) ->") })
        #expect(lines.contains { $0.contains("leaky relu 0.1") })
        #expect(lines.last?.hasSuffix("-> 2x4x4x4  # res") == true)
    }
}
