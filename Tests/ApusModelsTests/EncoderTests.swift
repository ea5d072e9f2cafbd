import ApusGraph
import ApusModels
import Testing

struct EncoderTests {
    @Test(arguments: [
        ("resnet18", 512), ("resnet20-cifar", 64), ("plain20-cifar", 64), ("densenet121", 1024),
        ("efficientnet-b0", 1280), ("efficientnet-lite0", 1280),
    ])
    func classifierIsLeftOut(model: String, features: Int) throws {
        let network = try Models.named(model)
        let encoder = try network.encoder().graph(batch: 2, mode: .inference)
        let output = try #require(encoder.outputs["logits"])
        #expect(encoder.shape(output) == [2, features])
        let names = try network.graph(batch: 2, mode: .inference).parameters.map(\.name)
        // A dense classifier has a weight and a bias; all other names stay.
        #expect(encoder.parameters.map(\.name) == Array(names.dropLast(2)))
    }

    @Test func networkWithoutClassifierHasNoEncoder() throws {
        let network = Network("convolutions", input: [3, 8, 8]) {
            Convolution("conv", 4, kernel: 3)
        }
        #expect(throws: GraphError.self) { try network.encoder() }
    }
}
