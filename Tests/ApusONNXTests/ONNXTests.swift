import ApusCompiler
import ApusGraph
import ApusModels
import ApusONNX
import ApusRuntime
import ApusTensor
import Foundation
import SwiftProtobuf
import Testing

/// The exported file is read again and looked into.
@Suite struct ONNXTests {
    private func export(
        _ network: Network, folded: Bool = false
    ) throws -> (file: ONNXModelProto, store: ParameterStore) {
        var graph = try network.graph(batch: 1, mode: .inference)
        let store = ParameterStore(graph, seed: 1)
        if folded { graph = ConvolutionFusion()(graph) }
        let model = try ONNXModel(
            graph, name: network.name, metadata: ["key": "value"], weights: store.tensor)
        return (try ONNXModelProto(serializedBytes: model.encoded()), store)
    }

    private func counts(_ file: ONNXModelProto) -> [String: Int] {
        Dictionary(grouping: file.graph.node, by: \.opType).mapValues(\.count)
    }

    private func attribute(_ node: ONNXNodeProto, _ name: String) -> ONNXAttributeProto? {
        node.attribute.first { $0.name == name }
    }

    @Test func residualNetworkHasItsLayers() throws {
        let network = try Models.named("resnet18")
        let (file, store) = try export(network)
        #expect(file.irVersion == 8 && file.opsetImport.map(\.version) == [17])
        #expect(file.metadataProps.map { [$0.key, $0.value] } == [["key", "value"]])
        #expect(
            counts(file) == [
                "Conv": 20, "BatchNormalization": 20, "Relu": 17, "Add": 8, "MaxPool": 1,
                "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1,
            ])
        // Every parameter and buffer under its own name and shape, and nothing else.
        #expect(file.graph.initializer.count == store.names.count)
        for tensor in file.graph.initializer {
            let stored = try #require(store.tensor(tensor.name))
            #expect(tensor.dims == stored.shape.dimensions.map(Int64.init))
            #expect(tensor.dataType == 1)
            #expect(tensor.rawData == stored.elements.withUnsafeBytes { Data($0) })
        }
        let input = try #require(file.graph.input.first)
        #expect(input.name == "images" && file.graph.input.count == 1)
        #expect(input.type.tensorType.elemType == 1)
        #expect(input.type.tensorType.shape.dim.map(\.dimParam) == ["batch", "", "", ""])
        #expect(input.type.tensorType.shape.dim.dropFirst().map(\.dimValue) == [3, 224, 224])
        let output = try #require(file.graph.output.first)
        #expect(output.name == "logits")
        #expect(output.type.tensorType.shape.dim[1].dimValue == 1000)
        let stem = try #require(file.graph.node.first)
        #expect(attribute(stem, "kernel_shape")?.ints == [7, 7])
        #expect(attribute(stem, "strides")?.ints == [2, 2])
        #expect(attribute(stem, "pads")?.ints == [3, 3, 3, 3])
        #expect(attribute(stem, "group")?.i == 1)
        let dense = try #require(file.graph.node.last)
        #expect(dense.opType == "Gemm" && dense.input.suffix(2) == ["fc.weight", "fc.bias"])
        #expect(attribute(dense, "transA")?.hasI == true)
        #expect(attribute(dense, "transB")?.i == 1)
    }

    @Test(arguments: [
        "resnet18", "resnet50", "resnet20-cifar", "plain20-cifar", "densenet121",
        "densenet-bc100-cifar", "efficientnet-b0", "efficientnet-lite0",
    ])
    func everyFileIsWellFormed(name: String) throws {
        for folded in [false, true] {
            let (file, _) = try export(Models.named(name), folded: folded)
            var known = Set(file.graph.initializer.map(\.name) + ["images"])
            #expect(known.count == file.graph.initializer.count + 1, "names are used twice")
            #expect(Set(file.graph.node.map(\.name)).count == file.graph.node.count)
            var read: Set<String> = []
            for node in file.graph.node {
                for input in node.input {
                    #expect(known.contains(input), "\(node.name) reads \(input) too early")
                    read.insert(input)
                }
                for output in node.output {
                    #expect(known.insert(output).inserted, "\(output) is written twice")
                }
            }
            #expect(known.contains("logits"))
            for tensor in file.graph.initializer {
                #expect(read.contains(tensor.name), "\(tensor.name) is not used")
                let size = tensor.dataType == 7 ? 8 : 4
                #expect(tensor.rawData.count == tensor.dims.reduce(1, *) * Int64(size))
            }
        }
    }

    @Test func samePaddingIsUneven() throws {
        let (file, _) = try export(Models.named("efficientnet-lite0"))
        let stem = try #require(file.graph.node.first)
        #expect(attribute(stem, "pads")?.ints == [0, 0, 1, 1])
        let strided = file.graph.node.filter {
            $0.opType == "Conv" && attribute($0, "strides")?.ints == [2, 2]
        }
        // 3x3 and 5x5 windows at stride 2 on even sides.
        #expect(
            strided.map { attribute($0, "pads")?.ints } == [
                [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 2, 2], [0, 0, 1, 1], [1, 1, 2, 2],
            ])
        #expect(attribute(strided[1], "group")?.i == 96)
        // Stem and head, one of the first block, two of the other fifteen.
        #expect(counts(file)["Clip"] == 33 && counts(file)["Relu"] == nil)
    }

    @Test func excitationMultiplies() throws {
        let (file, _) = try export(Models.named("efficientnet-b0"))
        // SiLU is a sigmoid and a product: 49 of them; and 16 gates.
        #expect(counts(file)["Sigmoid"] == 65 && counts(file)["Mul"] == 65)
        #expect(counts(file)["GlobalAveragePool"] == 17)
    }

    @Test func optionAShortcutsSliceAndPad() throws {
        let (file, _) = try export(Models.named("resnet20-cifar"))
        #expect(counts(file)["Slice"] == 2 && counts(file)["Pad"] == 2)
        let slice = try #require(file.graph.node.first { $0.opType == "Slice" })
        let pad = try #require(file.graph.node.first { $0.opType == "Pad" })
        func integers(_ name: String) -> [Int64]? {
            file.graph.initializer.first { $0.name == name }.map { tensor in
                tensor.rawData.withUnsafeBytes { bytes in
                    (0..<bytes.count / 8).map {
                        bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)
                    }
                }
            }
        }
        #expect(
            slice.input.dropFirst().map(integers) == [[0, 0], [.max, .max], [2, 3], [2, 2]])
        #expect(integers(pad.input[1]) == [0, 8, 0, 0, 0, 8, 0, 0])
    }

    @Test func foldingLeavesConvolutionsWithBias() throws {
        let (file, _) = try export(Models.named("resnet18"), folded: true)
        #expect(counts(file)["Conv"] == 20 && counts(file)["BatchNormalization"] == nil)
        #expect(counts(file)["Add"] == 8 && counts(file)["Relu"] == 17)
        for node in file.graph.node where node.opType == "Conv" { #expect(node.input.count == 3) }
        #expect(file.graph.initializer.count == 42)
    }

    /// By hand: gamma 2, variance 3, epsilon 1: a factor of 1; beta 5, mean 7: a bias of -2.
    @Test func foldedNumbersAreRight() throws {
        let network = Network("n", input: [1, 4, 4]) {
            Convolution("conv", 2, kernel: 1)
            BatchNorm("bn", epsilon: 1)
        }
        let values: [String: Tensor] = [
            "conv.weight": Tensor([2, 1, 1, 1], [3, 1e-38]),
            "bn.weight": Tensor([2], [2, 0.1]), "bn.bias": Tensor([2], [5, 0]),
            "bn.running_mean": Tensor([2], [7, 0]), "bn.running_var": Tensor([2], [3, 0]),
        ]
        let graph = ConvolutionFusion()(try network.graph(batch: 1, mode: .inference))
        let model = try ONNXModel(graph, name: "n") { values[$0] }
        let tensors = try ONNXModelProto(serializedBytes: model.encoded()).graph.initializer
        func floats(_ tensor: ONNXTensorProto) -> [Float] {
            tensor.rawData.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }
        // 1e-39 would be denormal.
        #expect(floats(tensors[0]) == [3, 0])
        #expect(floats(tensors[1]) == [-2, 0])
    }

    @Test func everyActivationHasItsNodes() throws {
        for (function, expected) in [
            (ActivationFunction.relu, ["Relu"]), (.relu6, ["Clip"]),
            (.leakyReLU(slope: 0.25), ["LeakyRelu"]), (.sigmoid, ["Sigmoid"]), (.tanh, ["Tanh"]),
            (.silu, ["Sigmoid", "Mul"]), (.gelu, ["Mul", "Erf", "Add", "Mul", "Mul"]),
        ] {
            let network = Network("n", input: [1, 2, 2]) { Activation(function) }
            let (file, _) = try export(network)
            #expect(file.graph.node.map(\.opType) == expected)
            #expect(file.graph.node.last?.output == ["logits"])
        }
        let network = Network("n", input: [1, 2, 2]) { Activation(.leakyReLU(slope: 0.25)) }
        let node = try #require(export(network).file.graph.node.first)
        #expect(attribute(node, "alpha")?.f == 0.25)
    }

    @Test func otherLayers() throws {
        let (file, _) = try export(AllLayers.network)
        for (kind, count) in [
            ("AveragePool", 1), ("MaxPool", 1), ("Concat", 1), ("Softmax", 1), ("Flatten", 1),
            ("Gemm", 2), ("Erf", 1), ("Tanh", 1), ("LeakyRelu", 1), ("Clip", 1),
        ] {
            #expect(counts(file)[kind] == count, "\(kind)")
        }
        // A dense layer without bias.
        #expect(file.graph.node.first { $0.opType == "Gemm" }?.input.count == 2)
        let pool = try #require(file.graph.node.first { $0.opType == "AveragePool" })
        #expect(attribute(pool, "count_include_pad")?.i == 0)
    }

    @Test func anIdentityIsANode() throws {
        let (file, _) = try export(Network("n", input: [1, 2, 2]) { Dropout(0.5) })
        #expect(file.graph.node.map(\.opType) == ["Identity"])
    }

    @Test func trainingCannotBeExported() throws {
        let network = try Models.named("resnet20-cifar")
        let training = try network.graph(batch: 2, mode: .training)
        let store = ParameterStore(training, seed: 1)
        #expect {
            try ONNXModel(training, name: "n", weights: store.tensor)
        } throws: {
            "\($0)".contains("bn1: batch norm has no place in an ONNX file")
        }
        let graph = try network.graph(batch: 1, mode: .inference)
        #expect {
            try ONNXModel(graph, name: "n") { $0 == "conv1.weight" ? nil : store.tensor($0) }
        } throws: {
            "\($0)".contains("conv1.weight has no values of shape 16x3x3x3")
        }
    }
}

/// A network with every kind of layer that can be exported.
enum AllLayers {
    static let network = Network("all", input: [3, 21, 17]) {
        Convolution("c1", 8, kernel: 3, stride: 2, padding: .same, bias: true)
        BatchNorm("b1")
        Activation(.gelu)
        Residual("r") {
            Convolution("c", 8, kernel: 3)
            BatchNorm("b")
            Activation(.tanh)
        }
        AveragePool(kernel: 3, stride: 2, padding: .explicit(1), includesPadding: false)
        Concatenate("k") {
            Convolution("a", 4, kernel: 1)
            MaxPool(kernel: 3, stride: 1, padding: .explicit(1))
        }
        Activation(.leakyReLU(slope: 0.1))
        Scale("s") {
            GlobalAveragePool()
            Convolution("f", 12, kernel: 1, bias: true)
            Activation(.sigmoid)
        }
        Activation(.relu6)
        Convolution("d", 12, kernel: 3, groups: 12)
        BatchNorm("e")
        Activation(.silu)
        Flatten()
        Dense("h", 9, bias: false)
        Dense("l", 5)
        Softmax()
    }
}
