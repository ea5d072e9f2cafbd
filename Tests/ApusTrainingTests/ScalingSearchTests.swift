import ApusData
import ApusGraph
import ApusModels
import ApusRuntime
import ApusTensor
import ApusTraining
import Synchronization
import Testing

@Suite struct ScalingSearchTests {
    private func multiplyAdds(_ network: Network) throws -> Double {
        try NetworkCost.multiplyAdds.of(network, batch: 1)
    }

    @Test func candidatesFillTheBudgetAndTheBestComesFirst() throws {
        let base = try Models.scalable("resnet20-cifar")
        var tried: [[Int]] = []
        let found = try ScalingSearch(base).best(
            within: multiplyAdds,
            proxy: { network, _ in
                tried.append(network.input.dimensions)
                return try NetworkCost.parameters.of(network, batch: 1)
            })
        #expect(found.count >= 8 && tried.count == found.count)
        #expect(try ScalingSearch(base).candidates(within: multiplyAdds).count == found.count)
        #expect(Set(found.map { "\($0.model.stages) \($0.model.input)" }).count == found.count)
        let scores = found.compactMap(\.score)
        #expect(scores == scores.sorted(by: >) && scores.count == found.count)
        for candidate in found {
            #expect(candidate.cost > 1 && candidate.cost <= 2)
            #expect(candidate.cost == candidate.multiplyAdds)
            // What is reported is what makes the network.
            let again = base.scaled(candidate.scaling.factors)
            #expect(again.stages == candidate.model.stages)
            #expect(again.input == candidate.model.input)
        }
        // Pixels cost multiply-adds and no parameters.
        #expect(found[0].scaling.gamma == 1)
    }

    /// A first round keeps those with most parameters, of which the second prefers the smallest.
    @Test func theBestThirdOfEveryRoundGoesOn() throws {
        var search = ScalingSearch(try Models.scalable("resnet20-cifar"))
        search.rounds = 2
        var progress: [Int] = []
        var counts = [0, 0]
        let found = try search.best(
            within: multiplyAdds,
            proxy: { network, round in
                counts[round] += 1
                let parameters = try NetworkCost.parameters.of(network, batch: 1)
                return round == 0 ? parameters : -parameters
            }, progress: { count, _ in progress.append(count) })
        let kept = found.filter { $0.round == 1 }
        let dropped = found.filter { $0.round == 0 }
        #expect(
            kept.count == (found.count + 2) / 3 && kept.count >= 2
                && counts == [found.count, kept.count])
        #expect(found.map(\.round) == found.map(\.round).sorted(by: >))
        #expect(progress == Array(1...(found.count + kept.count)))
        let parameters = try kept.map {
            try NetworkCost.parameters.of($0.model.network(), batch: 1)
        }
        #expect(kept.map(\.score) == parameters.map { -$0 } && parameters == parameters.sorted())
        #expect(dropped.allSatisfy { ($0.score ?? .infinity) <= parameters[0] })
        // One that is left has nothing to be compared with.
        search.rounds = 5
        let last = try search.best(within: multiplyAdds, proxy: { _, round in Double(round) })
        #expect(last[0].round < 3)
    }

    /// The budget is whatever it is: where pixels cost nothing, resolution grows further.
    @Test func anotherBudgetGivesOtherNetworks() throws {
        let base = try Models.scalable("resnet20-cifar")
        var search = ScalingSearch(base)
        search.points = [CompoundScaling(alpha: 1.2, beta: 1.1, gamma: 1.15)]
        func best(_ cost: (Network) throws -> Double) throws -> ScalingSearch.Candidate {
            try #require(try search.best(within: cost, proxy: { _, _ in 0 }).first)
        }
        let counted = try best(multiplyAdds)
        let light = try best { try multiplyAdds($0) / Double($0.input[1] * $0.input[2]) }
        #expect(light.scaling.gamma > counted.scaling.gamma)
        #expect(light.cost <= 2 && light.multiplyAdds > 2)
    }

    @Test func withoutAProxyTheCheapestDirectionComesFirst() throws {
        let search = ScalingSearch(try Models.scalable("resnet20-cifar"))
        let found = try search.cheapest(by: { Double($0.input[1]) })
        #expect(found.count == search.points.count)
        #expect(found.map(\.cost) == found.map(\.cost).sorted())
        #expect(found.first?.scaling.gamma == 1 && found.first?.cost == 1)
        #expect(found.first?.score == nil)
    }

    @Test func costsAreWhatTheyAreCalled() throws {
        let network = try Models.named("resnet20-cifar")
        #expect(try NetworkCost.parameters.of(network, batch: 8) == 269_722)
        #expect(try NetworkCost.multiplyAdds.of(network, batch: 8) == 40_551_040)
        let small = try NetworkCost.stepBytes.of(network, batch: 8)
        let large = try NetworkCost.stepBytes.of(network, batch: 16)
        #expect(large > 1.5 * small && large < 2 * small)
        let tiny = tinyNetwork()
        #expect(try NetworkCost.stepTime.of(tiny, batch: 2, configuration: .direct) > 0)
        #expect(try NetworkCost.inferenceTime.of(tiny, batch: 1, configuration: .direct) > 0)
    }

    @Test func theProxyLearnsAndRepeats() throws {
        let test = Noted(source: Squares(count: 90, name: "test"))
        var proxy = ProxyTraining(
            train: Squares(count: 200), test: test,
            preprocessing: Preprocessing(channels: 1, mean: [0.4], deviation: [0.2]))
        proxy.steps = 30
        proxy.batch = 16
        proxy.testImages = 30
        var configuration = Session.Configuration.direct
        configuration.threads = 1
        // Another resolution than the images': they are resized.
        let network = try Models.named("resnet8-cifar", input: [1, 16, 16], classes: 3)
        let score = try proxy.score(network, configuration: configuration)
        #expect(score > 0.7)
        #expect(test.read.withLock { $0.count } == 30)
        #expect(try proxy.score(network, configuration: configuration) == score)
        // A later round trains longer and is tested on more images.
        let longer = try proxy.score(network, round: 1, configuration: configuration)
        #expect(test.read.withLock { $0.count } == 90)
        proxy.steps *= ScalingSearch.reduction
        proxy.testImages *= ScalingSearch.reduction
        #expect(try proxy.score(network, configuration: configuration) == longer)
        proxy.learningRate = 1e30
        #expect(try proxy.score(network, configuration: configuration) == 0)
    }
}

/// Knows which of its images were read.
private final class Noted: ImageSource {
    let source: Squares
    let read = Mutex<Set<Int>>([])

    init(source: Squares) { self.source = source }

    var count: Int { source.count }
    var classNames: [String] { source.classNames }
    var imageShape: ImageShape? { source.imageShape }
    func name(of index: Int) -> String { source.name(of: index) }
    func label(at index: Int) -> Int { source.label(at: index) }
    func image(at index: Int) -> Image {
        _ = read.withLock { $0.insert(index) }
        return source.image(at: index)
    }
}
