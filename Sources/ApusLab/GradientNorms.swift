import ApusGraph
import ApusModels
import ApusReport
import ApusRuntime
import ApusTensor
import Foundation

/// A chain of 3x3 convolutions without fuss, to see what gradients do on their way through it.
struct Chain: Hashable {
    var depth: Int
    var activation = ActivationFunction.relu
    var initializer = Initializer.heNormal(.out)
    var normalizes = false
    var hasShortcuts = false

    /// `depth` layers with weights: the first convolution halves the image, the last layer is dense.
    func network(input: Shape, classes: Int) -> Network {
        Network("chain-\(depth)", input: input) {
            link(0, stride: 2)
            for index in stride(from: 1, to: depth - 1, by: 2) {
                if hasShortcuts && index + 1 < depth - 1 {
                    Residual("") {
                        link(index)
                        Convolution("conv\(index + 1)", 16, kernel: 3, initializer: initializer)
                        if normalizes { BatchNorm("norm\(index + 1)") }
                    }
                    Activation(activation)
                } else {
                    link(index)
                    if index + 1 < depth - 1 { link(index + 1) }
                }
            }
            GlobalAveragePool()
            Flatten()
            Dense("dense", classes)
        }
    }

    private func link(_ index: Int, stride: Int = 1) -> [Layer] {
        var layers = [
            Convolution(
                "conv\(index)", 16, kernel: 3, stride: stride, initializer: initializer
            ).layer
        ]
        if normalizes { layers.append(BatchNorm("norm\(index)").layer) }
        return layers + [Activation(activation).layer]
    }
}

extension Chain {
    /// How a gradient grows beside theory (He and others 2015, section 2.2): each layer multiplies its
    /// variance by half of what a channel's weights are many, times their variance.
    static func besideTheory(_ measured: [String: Estimate]) -> DataTable {
        let weights = 16.0 * 9
        let kinds = [
            ("0.01", "small", 0.01), ("0.3", "large", 0.3),
            ("He's", "he", (2 / weights).squareRoot()),
        ]
        return DataTable(
            [
                "deviation of the weights, rectifiers", "powers of ten from 8 to 44 layers here",
                "95 % interval", "in He's theory",
            ],
            kinds.map { name, key, deviation in
                let estimate = measured[key] ?? Estimate([])
                let theory = (44 - 8) / 2 * log10(weights * deviation * deviation / 2)
                return [
                    name, NumberText.short(estimate.mean), LabPage.interval(estimate),
                    abs(theory) < 1e-9 ? "0" : NumberText.short(theory),
                ]
            })
    }
}

extension ParameterStore {
    /// The Euclidean norm of the gradient of every convolution, in order of the layers.
    func convolutionGradientNorms() -> [Double] {
        parameters.filter { $0.shape.rank == 4 }.map { gradient($0.name)?.norm ?? 0 }
    }
}

extension LabContext {
    private struct GradientRequest: Hashable, Codable {
        var network: Network
        var data: String
        var images: Int
        var draws: Int
        var seed: UInt64
    }

    /// The norms of the convolutions' gradients for the first images, before any training: one list a
    /// seed. Narrow networks scatter by powers of ten, so a seed draws its weights five times, where
    /// there is time, and gives the geometric mean.
    func firstGradients(_ network: Network, images: Int = 64) throws -> [[Double]] {
        let data = try self.data()
        let count = min(images, data.train.count)
        let draws = seconds < 60 ? 1 : 5
        return try seeds.map { seed in
            let request = GradientRequest(
                network: network, data: data.name, images: count, draws: draws, seed: seed)
            return try once("gradients", request) {
                let batch = try data.batch(data.train, count: count)
                let parameters = ParameterStore(
                    try network.graph(batch: count, mode: .training), seed: seed)
                let session = try Session(
                    network.lossGraph(batch: count), parameters: parameters, differentiate: true,
                    configuration: configuration)
                var powers = [Double](
                    repeating: 0, count: parameters.convolutionGradientNorms().count)
                for draw in 0..<draws {
                    parameters.initialize(seed: seed * 1000 + UInt64(draw))
                    session.setInput("images", batch.images.elements)
                    session.setInput("labels", batch.labels.map(Float.init))
                    session.run()
                    for (layer, norm) in parameters.convolutionGradientNorms().enumerated() {
                        powers[layer] += power(norm) / Double(draws)
                    }
                }
                return powers.map { pow(10, $0) }
            }
        }
    }
}

extension LineChart.Series {
    /// Norms by layer, one list a seed: the mean of their logarithms, with the interval over the seeds.
    static func byLayer(_ name: String, _ norms: [[Double]], _ color: Int) -> LineChart.Series {
        LineChart.Series(
            name,
            (norms.first ?? []).indices.map { layer in
                var point = LineChart.Point(
                    Double(layer + 1), Estimate(norms.map { power($0[layer]) }))
                point.y = pow(10, point.y)
                point.low = point.low.map { pow(10, $0) }
                point.high = point.high.map { pow(10, $0) }
                return point
            }, color: color, dash: color)
    }
}

/// The power of ten a norm is; zero and what is no number stand at the ends of what floats can tell.
func power(_ norm: Double) -> Double {
    norm.isNaN ? 40 : log10(min(max(norm, 1e-40), 1e40))
}
