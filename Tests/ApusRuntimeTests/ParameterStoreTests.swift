import ApusGraph
import ApusRuntime
import ApusTensor
import Testing

@Suite struct ParameterStoreTests {
    /// A tensor whose fans differ: 100 * 9 inputs, 200 * 9 outputs.
    private static let shape: Shape = [200, 100, 3, 3]

    private func store(
        _ initializer: Initializer, name: String = "w", seed: UInt64 = 1
    ) throws -> ParameterStore {
        var builder = GraphBuilder(mode: .training)
        _ = try builder.parameter(name, Self.shape, initializer, role: .weight)
        return ParameterStore(builder.graph, seed: seed)
    }

    /// Every initializer with the variance its paper asks for, and its largest possible value.
    private static let expectations: [(Initializer, variance: Double, bound: Double)] = [
        (.heNormal(.in), 2.0 / 900, .infinity),
        (.heNormal(.out), 2.0 / 1800, .infinity),
        (.heUniform(.in), 2.0 / 900, (6.0 / 900).squareRoot()),
        (.heUniform(.out), 2.0 / 1800, (6.0 / 1800).squareRoot()),
        (.xavierNormal, 2.0 / 2700, .infinity),
        (.xavierUniform, 2.0 / 2700, (6.0 / 2700).squareRoot()),
        (.lecunNormal, 1.0 / 900, .infinity),
        (.uniformFanIn, 1.0 / 2700, (1.0 / 900).squareRoot()),
        (.normal(deviation: 0.25), 0.0625, .infinity),
    ]

    @Test(arguments: expectations)
    func momentsAreThoseAskedFor(
        _ initializer: Initializer, variance: Double, bound: Double
    ) throws {
        let values = try #require(try store(initializer).tensor("w")).elements.map(Double.init)
        let count = Double(values.count)
        let mean = values.reduce(0, +) / count
        let second = values.reduce(0) { $0 + $1 * $1 } / count
        // Deviations of the estimates; the fourth moment is 3 for a normal distribution and 9/5
        // for a uniform one, in units of the squared variance.
        let fourth = bound.isFinite ? 1.8 : 3.0
        #expect(abs(mean) < 3 * (variance / count).squareRoot())
        #expect(abs(second - variance) < 3 * variance * ((fourth - 1) / count).squareRoot())
        let largest = values.map(abs).max() ?? 0
        #expect(largest <= bound * 1.000001)
        // Normal values go beyond four deviations in 180,000 draws, uniform ones reach the bound.
        let reach = bound.isFinite ? 0.999 * bound : 4 * variance.squareRoot()
        #expect(largest > reach)
    }

    @Test func constantsAreConstant() throws {
        let values = try #require(try store(.constant(0.5)).tensor("w")).elements
        #expect(values.allSatisfy { $0 == 0.5 })
    }

    @Test func valuesFollowFromSeedAndName() throws {
        let first = try store(.heNormal(.in)).tensor("w")
        #expect(try store(.heNormal(.in)).tensor("w") == first)
        #expect(try store(.heNormal(.in), seed: 2).tensor("w") != first)
        #expect(try store(.heNormal(.in), name: "v").tensor("v") != first)
    }

    @Test func aNetworkSharesValuesByNameOnly() throws {
        var builder = GraphBuilder(mode: .training)
        _ = try builder.parameter("before", [7], .heNormal(.in), role: .weight)
        _ = try builder.parameter("w", Self.shape, .heNormal(.in), role: .weight)
        let two = ParameterStore(builder.graph, seed: 1)
        #expect(try store(.heNormal(.in)).tensor("w") == two.tensor("w"))
    }

    @Test func wrongTensorsAreRefusedByName() throws {
        let store = try store(.constant(1))
        let shape = #expect(throws: ParameterStore.LoadError.self) {
            try store.set("w", Tensor([2, 3]))
        }
        let text = shape?.description ?? ""
        #expect(text.contains("w: ") && text.contains("200x100x3x3") && text.contains("2x3"))
        let name = #expect(throws: ParameterStore.LoadError.self) {
            try store.set("v", Tensor(Self.shape))
        }
        #expect(name?.description.contains("'v'") == true)
        #expect(store.tensor("w")?.elements.allSatisfy { $0 == 1 } == true)
    }
}
