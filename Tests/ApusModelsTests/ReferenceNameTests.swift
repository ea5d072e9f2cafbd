import ApusGraph
import ApusModels
import ApusTensor
import Foundation
import Testing

/// Names and shapes of parameters are those of the reference implementation, so that weights travel
/// both ways without a mapping.
@Suite struct ReferenceNameTests {
    private struct Reference: Decodable {
        struct Brief: Decodable { let shape: Shape }
        let input: [Int]
        let classes: Int
        let parameters: Int
        let gradients: [String: Brief]
        let after_one_sgd_step: [String: Brief]
    }

    private static let fixtures = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures")

    @Test(arguments: [
        "plain20-cifar", "resnet20-cifar", "resnet18-cifar", "resnet18", "resnet50",
        "densenet121", "efficientnet_b0",
    ])
    func parametersAreNamedAlike(name: String) throws {
        let file = ReferenceNameTests.fixtures.appending(path: "\(name).json")
        let reference = try JSONDecoder().decode(Reference.self, from: Data(contentsOf: file))
        let input = Shape(Array(reference.input.dropFirst()))
        let network = try Models.named(name, input: input, classes: reference.classes)
        let graph = try network.lossGraph(batch: reference.input[0])

        let shapes = graph.parameters.map { ($0.name, $0.shape) }
        #expect(
            Dictionary(uniqueKeysWithValues: shapes) == reference.gradients.mapValues(\.shape))
        #expect(Statistics(graph).parameters == reference.parameters)

        // Buffers are the rest of the state after a step, but for the step counters.
        let buffers = graph.buffers.map { ($0.name, $0.shape) }
        let expected = reference.after_one_sgd_step.filter {
            reference.gradients[$0.key] == nil && !$0.key.hasSuffix("num_batches_tracked")
        }
        #expect(Dictionary(uniqueKeysWithValues: buffers) == expected.mapValues(\.shape))
    }
}
