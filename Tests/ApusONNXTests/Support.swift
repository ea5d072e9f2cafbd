import ApusData
import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation

extension TrainedModel {
    /// A network with random weights and statistics that are not the initial ones.
    static func random(_ network: Network) throws -> TrainedModel {
        let graph = try network.graph(batch: 1, mode: .inference)
        let store = ParameterStore(graph, seed: 3)
        for buffer in graph.buffers {
            let key = RandomKey(seed: 4).child(buffer.name)
            let isMean = buffer.name.hasSuffix("mean")
            let values = (0..<buffer.shape.count).map {
                isMean ? 0.2 * key.uniform(at: $0) - 0.1 : 0.5 + key.uniform(at: $0)
            }
            try store.set(buffer.name, Tensor(buffer.shape, values))
        }
        let logits = graph.outputs["logits"].map { graph.shape($0)[1] } ?? 0
        let channels = network.input[0]
        return TrainedModel(
            network: network, parameters: store,
            preprocessing: Preprocessing(
                channels: channels, mean: .init(repeating: 0.5, count: channels),
                deviation: .init(repeating: 0.25, count: channels)),
            classNames: (0..<logits).map { "class \($0)" })
    }
}
