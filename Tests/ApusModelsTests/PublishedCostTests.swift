import ApusGraph
import ApusModels
import ApusTensor
import Testing

/// Parameters and multiply-adds of every published network, read off its graph: no weights are
/// allocated.
@Suite struct PublishedCostTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        /// As it is printed, in millions.
        var parameters: String
        /// Thousands of millions, of convolutions and matrix products; nil where the source gives
        /// none.
        var multiplyAdds: String?
        /// The figure commonly quoted, which also counts two operations a normalized value.
        var quoted: String?
        /// Where it is not the network's own.
        var side: Int?

        var testDescription: String { name }
    }

    static let rows =
        residual + dense + efficient + lite + smallResidual + smallDense

    /// torchvision's parameters; quoted multiply-adds of its documentation at 224 pixels.
    static let residual = [
        Row(name: "resnet18", parameters: "11.69", multiplyAdds: "1.81", quoted: "1.82"),
        Row(name: "resnet34", parameters: "21.80", multiplyAdds: "3.66", quoted: "3.67"),
        Row(name: "resnet50", parameters: "25.56", multiplyAdds: "4.09", quoted: "4.11"),
        Row(name: "resnet101", parameters: "44.55", multiplyAdds: "7.80", quoted: "7.83"),
        Row(name: "resnet152", parameters: "60.19", multiplyAdds: "11.51", quoted: "11.56"),
    ]
    static let dense = [
        Row(name: "densenet121", parameters: "7.98", multiplyAdds: "2.83", quoted: "2.87"),
        Row(name: "densenet169", parameters: "14.15", multiplyAdds: "3.36", quoted: "3.40"),
        Row(name: "densenet201", parameters: "20.01", multiplyAdds: "4.29", quoted: "4.34"),
        Row(name: "densenet161", parameters: "28.68", multiplyAdds: "7.73", quoted: "7.79"),
    ]
    /// torchvision's, whose B2 is measured at 288 pixels.
    static let efficient = [
        Row(name: "efficientnet-b0", parameters: "5.29", multiplyAdds: "0.386"),
        Row(name: "efficientnet-b1", parameters: "7.79", multiplyAdds: "0.687"),
        Row(name: "efficientnet-b2", parameters: "9.11", multiplyAdds: "1.088", side: 288),
        Row(name: "efficientnet-b3", parameters: "12.23", multiplyAdds: "1.827"),
        Row(name: "efficientnet-b4", parameters: "19.34", multiplyAdds: "4.394"),
        Row(name: "efficientnet-b5", parameters: "30.39", multiplyAdds: "10.266"),
        Row(name: "efficientnet-b6", parameters: "43.04", multiplyAdds: "19.068"),
        Row(name: "efficientnet-b7", parameters: "66.35", multiplyAdds: "37.746"),
    ]
    /// The TensorFlow authors' parameters.
    static let lite = [
        Row(name: "efficientnet-lite0", parameters: "4.7"),
        Row(name: "efficientnet-lite1", parameters: "5.4"),
        Row(name: "efficientnet-lite2", parameters: "6.1"),
        Row(name: "efficientnet-lite3", parameters: "8.2"),
        Row(name: "efficientnet-lite4", parameters: "13.0"),
    ]
    /// Table 6 of He et al. 2015; the plain networks have the same layers.
    static let smallResidual = ["resnet", "plain"].flatMap { family in
        [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")].map {
            Row(name: "\(family)\($0)-cifar", parameters: $1)
        }
    }
    /// Table 2 of Huang et al. 2017.
    static let smallDense = [
        Row(name: "densenet40-cifar", parameters: "1.0"),
        Row(name: "densenet100-cifar", parameters: "7.0"),
        Row(name: "densenet100-k24-cifar", parameters: "27.2"),
        Row(name: "densenet-bc100-cifar", parameters: "0.8"),
        Row(name: "densenet-bc250-k24-cifar", parameters: "15.3"),
        Row(name: "densenet-bc190-k40-cifar", parameters: "25.6"),
    ]

    @Test(arguments: rows) func costsAgreeWithThePublishedOnes(row: Row) throws {
        let input = row.side.map { Shape([3, $0, $0]) }
        let graph = try Models.named(row.name, input: input).graph(batch: 1, mode: .inference)
        let statistics = Statistics(graph)
        func expect(_ count: Int, in unit: Double, prints text: String?) {
            guard let text else { return }
            let places = text.split(separator: ".")[1].count
            var scale = 1.0
            for _ in 0..<places { scale *= 10 }
            let rounded = (Double(count) / unit * scale).rounded() / scale
            #expect(rounded == Double(text), "\(count)")
        }
        expect(statistics.parameters, in: 1e6, prints: row.parameters)
        expect(statistics.multiplyAdds, in: 1e9, prints: row.multiplyAdds)
        let normalized = statistics.rows.filter { $0.operation == "normalize" }
            .map(\.output.count).reduce(0, +)
        expect(statistics.multiplyAdds + 2 * normalized, in: 1e9, prints: row.quoted)
    }

    @Test func everyListedNetworkForPhotographsHasARow() {
        let known = Set(Self.rows.map(\.name))
        let listed = Models.names.filter { !$0.hasSuffix("-cifar") && !$0.hasPrefix("plain") }
        #expect(listed.count == 5 + 4 + 8 + 5)
        for name in listed { #expect(known.contains(name), "\(name)") }
    }
}
