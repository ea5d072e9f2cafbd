import ApusGraph
import ApusTensor
import Foundation

/// Networks drawn layer by layer: one bar a layer with weights, as high as its image and as dark as it
/// has channels, with arcs over what shortcuts jump.
public struct NetworkStrips: Hashable, Codable, Sendable {
    public var title: String
    public var networks: [Network]

    public init(_ title: String, _ networks: [Network]) {
        self.title = title
        self.networks = networks
    }

    var markup: [Markup] {
        networks.flatMap { network -> [Markup] in
            guard let graph = try? network.graph(batch: 1, mode: .inference) else { return [] }
            let statistics = Statistics(graph)
            let words =
                "\(network.name): \(NumberText.short(Double(statistics.parameters) / 1e6)) M "
                + "parameters, \(NumberText.short(Double(statistics.multiplyAdds) / 1e6)) M "
                + "multiply-adds an image of \(network.input)"
            return [
                .element("p", ["class": "panel"], text: words), strip(network, graph, words),
            ]
        }
    }

    private func strip(_ network: Network, _ graph: Graph, _ words: String) -> Markup {
        var places: [ValueID: Double] = [:]
        var bars: [(shape: Shape, isDense: Bool)] = []
        var arcs: [(from: Double, to: Double)] = []
        for node in graph.nodes {
            guard let output = node.outputs.first else { continue }
            let known = node.inputs.compactMap { places[$0] }
            switch node.op {
            case .convolution, .matmul:
                // A projection beside a residual's body is part of its arc.
                let isProjection = node.path.contains("downsample")
                if !isProjection { bars.append((graph.shape(output), node.op.isMatrixProduct)) }
                places[output] =
                    isProjection ? known.first ?? 0 : Double(bars.count)
            case .add:
                if let from = known.min(), let to = known.max(), to > from {
                    arcs.append((from, to))
                }
                places[output] = known.max()
            case .input: places[output] = 0
            default: places[output] = known.max()
            }
        }
        let step = min(24, 548 / Double(max(bars.count, 1)))
        // Arcs need room above the highest bar.
        let base = arcs.isEmpty ? 66.0 : 92.0
        let widest = bars.map { Double($0.shape[1]) }.max() ?? 1
        let tallest = Double(network.input[1])
        var parts: [Markup] = []
        for (index, bar) in bars.enumerated() {
            let size = bar.isDense ? tallest / 4 : Double(bar.shape[2])
            let height = 14 + 46 * (tallest > 0 ? size / tallest : 1)
            parts.append(
                .element(
                    "rect",
                    [
                        "x": Drawing.text(6 + step * Double(index)),
                        "y": Drawing.text(base - height), "width": Drawing.text(step * 0.72),
                        "height": Drawing.text(height), "class": bar.isDense ? "f1" : "f0",
                        "opacity": Drawing.text(
                            0.35 + 0.65 * (Double(bar.shape[1]) / widest).squareRoot()),
                    ]))
        }
        for arc in arcs {
            let from = 6 + step * (arc.from - 0.5) + step * 0.36
            let to = 6 + step * (arc.to - 0.5) + step * 0.36
            let top = max(2, 24 - (to - from) / 4)
            parts.append(
                .element(
                    "path",
                    [
                        "d": "M\(Drawing.text(from)) 29Q\(Drawing.text((from + to) / 2)) "
                            + "\(Drawing.text(top - 16)) \(Drawing.text(to)) 29",
                        "class": "curve c2 d0",
                    ]))
        }
        return Drawing.svg(
            width: 560, height: base + 6, title: network.name,
            description: words + ": \(bars.count) layers with weights, \(arcs.count) shortcuts.",
            parts)
    }
}

extension Op {
    fileprivate var isMatrixProduct: Bool {
        if case .matmul = self { return true }
        return false
    }
}
