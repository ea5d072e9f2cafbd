import ApusGraph
import ApusTensor

/// Filters of 3x3 weights that do what their names say.
enum HandMadeFilters {
    static let all: [(name: String, weights: [Float])] = [
        ("blur", [1, 2, 1, 2, 4, 2, 1, 2, 1].map { $0 / 16 }),
        ("sharpen", [0, -1, 0, -1, 5, -1, 0, -1, 0]),
        ("upright edges", [-1, 0, 1, -2, 0, 2, -1, 0, 1]),
        ("level edges", [-1, -2, -1, 0, 0, 0, 1, 2, 1]),
        ("outline", [-1, -1, -1, -1, 8, -1, -1, -1, -1]),
        ("relief", [-2, -1, 0, -1, 1, 1, 0, 1, 2]),
    ]

    /// A gray picture after convolution with all of them, one a channel, and then `layers`.
    static func applied(
        to image: Tensor, then layers: [Layer], _ lab: LabContext
    ) throws -> Tensor {
        let network = Network("filters", input: Shape(Array(image.shape.dimensions.dropFirst()))) {
            Convolution("conv", all.count, kernel: 3)
            layers
        }
        let features = try Features(network, batch: 1, configuration: lab.configuration)
        try features.parameters.set(
            "conv.weight", Tensor([all.count, 1, 3, 3], all.flatMap(\.weights)))
        return features(image)["logits"] ?? image
    }
}
