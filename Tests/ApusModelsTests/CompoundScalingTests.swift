import ApusGraph
import ApusModels
import ApusTensor
import Testing

@Suite struct CompoundScalingTests {
    @Test func powersAreExactToRounding() {
        #expect(power(1.2, 0) == 1)
        #expect(power(1.2, 1) == 1.2)
        #expect(power(2, 10) == 1024)
        #expect(power(4, 0.5) == 2)
        #expect(power(2, -2) == 0.25)
        // Python's 1.15 ** 2.3 and 1.2 ** -0.7.
        #expect(abs(power(1.15, 2.3) - 1.3791294509462921) < 1e-14)
        #expect(abs(power(1.2, -0.7) - 0.8801833070327152) < 1e-14)
    }

    @Test func widthsAreRoundedButNeverBelowNineTenths() {
        #expect(Stage.channels(32, 1.1, divisor: 8) == 32)
        #expect(Stage.channels(24, 1.2, divisor: 8) == 32)
        #expect(Stage.channels(16, 1.4, divisor: 8) == 24)
        // 16 would be below 90 % of 19.2; 8 is the least.
        #expect(Stage.channels(16, 1.2, divisor: 8) == 24)
        #expect(Stage.channels(16, 0.1, divisor: 8) == 8)
        // A factor of one keeps what is no multiple.
        #expect(Stage.channels(12, 1, divisor: 8) == 12)
        for divisor in [1, 4, 8, 16] {
            for base in [12, 16, 24, 40, 320] {
                var last = 0
                for factor in stride(from: 0.3, through: 3, by: 0.013) {
                    let channels = Stage.channels(base, factor, divisor: divisor)
                    #expect(channels % divisor == 0 && channels >= last)
                    #expect(Double(channels) >= 0.9 * Double(base) * factor)
                    last = channels
                }
            }
        }
    }

    @Test func blocksAreRoundedUp() {
        #expect(Stage.blocks(3, 1.2) == 4)
        #expect(Stage.blocks(5, 1.2) == 6)
        #expect(Stage.blocks(3, 0.01) == 1)
        // The root of two squared is a little more than two.
        let factor = CompoundScaling(alpha: (2.0).squareRoot(), beta: 1, gamma: 1).at(2).factors
        #expect(factor.depth > 2 && Stage.blocks(3, factor.depth) == 6)
    }

    /// The published networks are B0 with published factors, through the same rounding.
    @Test func publishedFactorsGiveThePublishedNetworks() throws {
        let base = try Models.scalable("efficientnet-b0")
        for variant in EfficientNet.published where variant.name.hasPrefix("b") {
            let scaled = base.scaled(ScaleFactors(depth: variant.depth, width: variant.width))
            #expect(scaled.stages == variant.stages, "\(variant.name)")
        }
        let lite = try Models.scalable("efficientnet-lite0")
        for variant in EfficientNet.published where variant.name.hasPrefix("lite") {
            let scaled = lite.scaled(ScaleFactors(depth: variant.depth, width: variant.width))
            #expect(scaled.stages == variant.stages, "\(variant.name)")
        }
    }

    @Test(arguments: [
        "efficientnet-b0", "efficientnet-lite0", "resnet18", "resnet50", "resnet20-cifar",
        "resnet20-b-cifar", "plain34", "plain20-cifar", "densenet121", "densenet40-cifar",
        "densenet-bc100-cifar",
    ])
    func multiplyAddsDoubleWithPhi(name: String) throws {
        let base = try Models.scalable(name)
        func multiplyAdds(_ scaling: CompoundScaling) throws -> Double {
            let network = base.scaled(scaling.factors).network()
            let graph = try network.graph(batch: 1, mode: .inference)
            try graph.verify()
            return Double(Statistics(graph).multiplyAdds)
        }
        let own = try multiplyAdds(.published.at(0))
        #expect(
            try Models.named(name) == base.scaled(CompoundScaling.published.at(0).factors).network()
        )
        // Blocks are rounded up, widths to eights: far from the base the rounding matters less.
        for scaling in [
            CompoundScaling.published, .depthOnly, .widthOnly, .resolutionOnly,
        ] {
            var last = own
            for phi in 1...3 {
                let next = try multiplyAdds(scaling.at(Double(phi)))
                #expect(next > last)
                last = next
            }
            let expected = power(scaling.growth, 3)
            // What a layer of a dense block reads grows with the layers before it, too.
            let joined = name.hasPrefix("densenet") ? power(scaling.alpha, 3) : 1
            #expect(
                (0.6...1.6 * joined).contains(last / own / expected), "\(scaling) \(last / own)")
        }
    }

    @Test func theGridLiesOnThePlane() {
        let points = CompoundScaling.grid()
        #expect(points.count >= 12)
        #expect(Set(points).count == points.count)
        for point in points {
            #expect((1.9...2.11).contains(point.growth), "\(point)")
            #expect(point.alpha >= 1 && point.beta >= 1 && point.gamma >= 1)
        }
        #expect(CompoundScaling.grid(step: 0.05).count > 30)
        #expect(points.contains { $0.beta == 1 && $0.gamma == 1 && $0.alpha == 2 })
    }

    @Test(arguments: [0.05, 0.5, 1, 3, 20.0]) func theLargestNetworkFillsItsLimit(
        factor: Double
    ) throws {
        let base = try Models.scalable("resnet20-cifar")
        func cost(_ network: Network) throws -> Double {
            Double(Statistics(try network.graph(batch: 1, mode: .inference)).multiplyAdds)
        }
        let limit = factor * (try cost(base.network()))
        let found = try #require(
            try base.largest(along: .published, within: limit, cost: cost))
        #expect(found.cost <= limit)
        #expect(found.cost == (try cost(found.model.network())))
        let next = base.scaled(CompoundScaling.published.at(found.phi + 1.0 / 64).factors)
        #expect(try cost(next.network()) > limit)
        if factor == 1 { #expect(found.phi >= 0) }
    }

    @Test func limitsOutOfReachHaveNoNetwork() throws {
        let base = try Models.scalable("resnet20-cifar")
        var calls = 0
        #expect(
            try base.largest(along: .published, within: 1) { _ in
                calls += 1; return 2
            } == nil)
        #expect(
            try base.largest(along: .published, within: 1) { _ in
                calls += 1; return 0
            } == nil)
        #expect(calls <= 26)
    }

    @Test func scaledNetworksKeepTheirNamesOfLayers() throws {
        let small = try Models.scalable("densenet121")
        let large = small.scaled(CompoundScaling.published.at(2).factors)
        #expect(large.name == "densenet121-d1.44-w1.21-r1.322")
        #expect(large.input == [3, 296, 296])
        let names = { (model: ScalableModel) in
            Set(try model.network().graph(batch: 1, mode: .inference).parameters.map(\.name))
        }
        #expect(try names(small).isSubset(of: names(large)))
    }
}
