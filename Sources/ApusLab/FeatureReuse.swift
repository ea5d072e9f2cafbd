import ApusGraph
import ApusModels
import ApusReport
import ApusRuntime
import ApusTensor

/// What layers of a dense block read of each layer before them, by the size of their weights.
enum FeatureReuse {
    /// The mean absolute weight that layer `layer` (from 1) of a block of the CIFAR family gives to each
    /// source: the block's input first, then layers 1 up to `layer - 1`.
    static func weights(
        _ parameters: ParameterStore, block: Int, layer: Int, inputs: Int, growth: Int
    ) -> [Double] {
        let name = "features.denseblock\(block).denselayer\(layer).conv1.weight"
        guard let weights = parameters.tensor(name) else { return [] }
        let perChannel = weights.shape[2] * weights.shape[3]
        return (0..<layer).map { source in
            let first = source == 0 ? 0 : inputs + (source - 1) * growth
            let channels = source == 0 ? inputs : growth
            var sum = 0.0
            for output in 0..<weights.shape[0] {
                for channel in first..<first + channels {
                    let start = (output * weights.shape[1] + channel) * perChannel
                    for place in start..<start + perChannel {
                        sum += Double(abs(weights.elements[place]))
                    }
                }
            }
            return sum / Double(weights.shape[0] * channels * perChannel)
        }
    }

    /// What a layer gives its block's input, over the mean of its sources.
    static func inputShare(_ weights: [Double]) -> Double {
        guard let input = weights.first else { return .nan }
        return input * Double(weights.count) / weights.reduce(0, +)
    }

    /// A block's weights by source, one list a layer, as the paper's figure 5 shows them.
    static func figure(_ block: Int, _ weights: [[Double]]) -> Figure {
        .heat(
            HeatChart(
                "Block \(block): mean size of weights by source (first seed)",
                label: "mean |weight|",
                rows: ("read from", ["input"] + (1..<weights.count).map { "layer \($0)" }),
                columns: ("by layer", (1...weights.count).map(String.init)),
                values: weights.indices.map { source in
                    weights.map { source < $0.count ? $0[source] : nil }
                }))
    }
}
