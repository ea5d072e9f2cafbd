import ApusCompiler
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// Whole networks on the engine.
@Suite struct EngineModelTests {
    /// Gradients of deep networks without shortcuts amplify the rounding of 32-bit floats, so that
    /// only some are compared here.
    @Test(arguments: [
        "resnet20-cifar", "plain20-cifar", "resnet18-cifar", "resnet18", "resnet50", "densenet121",
        "efficientnet_b0",
    ])
    func matchesPyTorch(model: String) throws {
        let file = try JSONDecoder().decode(ReferenceFile.self, from: fixture(model + ".json"))
        let result = try Verification(file, configuration: .direct)
        print(
            "\(model): logits \(result.evalLogits), in training \(result.trainLogits), loss",
            "\(result.loss), gradients \(result.gradients), updates \(result.updates)")
        #expect(result.evalLogits <= 1e-4)
        #expect(result.trainLogits <= 1e-4)
        #expect(result.loss <= 1e-4)
        if ["resnet20-cifar", "resnet18", "efficientnet_b0"].contains(model) {
            #expect(result.gradients <= 1e-3, "\(result.worstGradient)")
            #expect(result.updates <= 1e-3, "\(result.worstUpdate)")
            #expect(result.elements <= 1e-3, "\(result.worstElements)")
        }
        #expect(result.passes, "\(result)")
    }

    @Test(
        .enabled(if: Machine.hasBFloat16),
        arguments: ["resnet20-cifar", "resnet18", "resnet50", "densenet121", "efficientnet_b0"])
    func matchesPyTorchInBrainFloats(model: String) throws {
        let file = try JSONDecoder().decode(ReferenceFile.self, from: fixture(model + ".json"))
        var configuration = Session.Configuration.direct
        configuration.precision = .bf16
        let result = try Verification(file, configuration: configuration)
        #expect(result.evalLogits > 1e-4 && result.evalLogits <= 3e-2)
        #expect(result.passes, "\(result)")
    }

    /// A comparison with a number that is none is false, which must not look like agreement.
    @Test func whatIsNoNumberIsAnError() {
        let reference = TensorBrief([5], [1, 2, 3, 4, 5])
        for place in [0, 4] {
            var values = [1.0, 2, 3, 4, 5]
            values[place] = .nan
            #expect(reference.normError(of: TensorBrief([5], values)) == .infinity)
            #expect(reference.elementError(of: TensorBrief([5], values)) == .infinity)
        }
        #expect(reference.normError(of: TensorBrief([5], [5, 4, 3, 2, 1])) == 0)
        #expect(reference.elementError(of: TensorBrief([5], [5, 4, 3, 2, 1])) > 0.5)
    }

    /// The shift of a linear bottleneck reaches nothing but batch norms, which subtract it.
    @Test func vanishingGradientsAreMeasuredByTheMedian() throws {
        let file = try JSONDecoder().decode(
            ReferenceFile.self, from: fixture("efficientnet_b0.json"))
        let scales = file.gradientScales
        let measured = file.gradients.filter { scales[$0.key] != $0.value.l2 }
        #expect(measured.count == 16)
        for (name, brief) in measured {
            #expect(name.hasSuffix(".1.bias") && brief.l2 < 1e-14)
            #expect((0.01...10).contains(scales[name] ?? 0))
        }
    }

    /// One model of every family; the others repeat their problems. Without AVX-512 oneDNN has no
    /// fast weight gradient for images of 2x2, so they are not of the smallest size.
    @Test(
        arguments: [
            "resnet18", "resnet50", "plain18", "resnet20-cifar", "resnet20-b-cifar",
            "plain20-cifar", "resnet18-cifar", "resnet50-cifar", "densenet121", "densenet40-cifar",
            "densenet-bc40-cifar", "efficientnet-b0", "efficientnet-lite0", "efficientnet-b0-cifar",
        ])
    func noConvolutionRunsOnAReferenceKernel(model: String) throws {
        let network = try Models.named(
            model, input: model.hasSuffix("-cifar") ? nil : [3, 128, 128])
        try expectFastKernels(network)
    }

    /// Images of few channels need care: as the network's input, inside it, and depthwise.
    @Test(arguments: 1...17, [1, 3])
    func fewChannelsRunOnFastKernels(channels: Int, kernel: Int) throws {
        try expectFastKernels(
            Network("few", input: [channels, 9, 9]) {
                Convolution(channels, kernel: kernel)
                Convolution(16, kernel: kernel, bias: true)
                Convolution(channels, kernel: kernel, stride: 2)
                Convolution.depthwise(kernel: 3)
                Flatten()
                Dense(2)
            })
    }

    /// Groups that fill no block, as in ResNeXt (32x4d) and RegNet, and groups of several outputs a
    /// channel.
    @Test(
        arguments: [
            (channels: 128, groups: 32, outputs: 128), (256, 32, 256), (64, 16, 128), (48, 2, 48),
            (120, 5, 120), (40, 10, 80), (10, 2, 20), (32, 32, 64), (24, 3, 48),
        ], [1, 3])
    func groupsRunOnFastKernels(
        shape: (channels: Int, groups: Int, outputs: Int), kernel: Int
    ) throws {
        try expectFastKernels(
            Network("groups", input: [3, 12, 12]) {
                Convolution(shape.channels, kernel: 3)
                Convolution(shape.outputs, kernel: kernel, groups: shape.groups, bias: true)
                BatchNorm()
                Activation(.relu)
                Convolution(shape.channels, kernel: 1)
                Convolution(shape.outputs, kernel: kernel, stride: 2, groups: shape.groups)
                Flatten()
                Dense(2)
            })
    }

    private func expectFastKernels(_ network: Network) throws {
        let store = ParameterStore(try network.graph(batch: 1, mode: .training), seed: 0)
        for precision in Machine.hasBFloat16 ? Precision.allCases : [.fp32] {
            var configuration = Session.Configuration.direct
            configuration.precision = precision
            let training = try Session.training(
                network, batch: 2, parameters: store, configuration: configuration)
            let inference = try Session(
                network.graph(batch: 2, mode: .inference), parameters: store,
                configuration: configuration)
            for session in [training, inference] {
                #expect(!session.implementations.isEmpty)
                let slow = session.implementations.filter { $0.kernel.hasPrefix("ref") }
                    .map { "\($0.path): \($0.operation) by \($0.kernel)" }
                #expect(slow.isEmpty, "\(network.name), \(precision)")
            }
        }
    }
}
