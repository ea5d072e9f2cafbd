import ApusGraph
import ApusRuntime
import ApusTensor
import ApusTraining
import Foundation
import Testing

/// LARS is several optimizers: each variant is compared with its own source.
@Suite struct LARSTests {
    private struct File: Decodable {
        struct Step: Decodable {
            let parameter: String
            let excluded: Bool
            let step: Int
            let weight: TensorBrief
        }
        let learning_rate: Float
        let momentum: Float
        let weight_decay: Float
        let trust_coefficient: Float
        let steps: [Step]
    }

    private static func signed(_ name: String, _ index: Int) -> Float {
        2 * RandomKey(state: RandomKey.hash(name)).uniform(at: index) - 1
    }

    private func store(
        _ parameters: [(String, Shape, ParameterInfo.Role)]
    ) throws -> ParameterStore {
        var builder = GraphBuilder(mode: .training)
        for (name, shape, role) in parameters {
            _ = try builder.parameter(name, shape, .constant(0), role: role)
        }
        let store = ParameterStore(builder.graph, seed: 0)
        store.allocateGradients()
        for (name, shape, _) in parameters {
            try store.set(
                name, Tensor(shape, (0..<shape.count).map { Self.signed("lars-\(name)", $0) }))
        }
        return store
    }

    private func setGradients(_ store: ParameterStore, step: Int) {
        for slot in store.parameters {
            for i in 0..<slot.shape.count {
                store.gradientBlock.base[slot.offset + i] =
                    0.1 * Self.signed("lars-gradient-\(slot.name)-\(step)", i)
            }
        }
    }

    @Test(arguments: [1, 2]) func googleMatchesTheReference(threads: Int) throws {
        let file = try JSONDecoder().decode(File.self, from: fixture("lars.json"))
        let store = try store([("weight", [16, 8, 3, 3], .weight), ("bias", [16], .bias)])
        var lars = LARS(variant: .google)
        lars.momentum = file.momentum
        lars.trustCoefficient = file.trust_coefficient
        let optimizer = Optimizer(.lars(lars), weightDecay: file.weight_decay, for: store)
        for step in 0..<3 {
            setGradients(store, step: step)
            optimizer.step(rate: file.learning_rate, threads: threads)
            for expected in file.steps where expected.step == step {
                let own = try #require(store.tensor(expected.parameter))
                let brief = TensorBrief(own.shape, own.elements.map(Double.init))
                #expect(brief.shape == expected.weight.shape)
                #expect(abs(brief.l2 - expected.weight.l2) < 1e-6 * expected.weight.l2)
                #expect(abs(brief.sum - expected.weight.sum) < 1e-5 * expected.weight.l2)
                for (a, b) in zip(brief.first, expected.weight.first) {
                    #expect(abs(a - b) < 1e-5 * abs(b), "\(expected.parameter) \(step)")
                }
            }
        }
    }

    /// The first elements after three steps of `timm.optim.Lars` 1.0.31 (rate 0.5, momentum 0.9, decay
    /// 0.01, coefficient 0.02; the bias in a group without decay), computed in 64 bits.
    @Test func timmMatchesItsSource() throws {
        let store = try store([("weight", [16, 8, 3, 3], .weight), ("bias", [16], .bias)])
        var lars = LARS(variant: .timm)
        lars.trustCoefficient = 0.02
        let optimizer = Optimizer(.lars(lars), weightDecay: 0.01, for: store)
        for step in 0..<3 {
            setGradients(store, step: step)
            optimizer.step(rate: 0.5, threads: 2)
        }
        let expected = [
            "weight": [
                0.39119398451826654, 0.4022855039516985, -0.9038233273204587, -0.6342935610059945,
            ],
            "bias": [
                -0.19129944497346876, -0.9821932802796364, -0.05471641176939009, 0.7412844042778016,
            ],
        ]
        for (name, values) in expected {
            let own = try #require(store.tensor(name)).elements
            for (a, b) in zip(own, values) { #expect(abs(Double(a) - b) < 1e-6, "\(name)") }
        }
    }

    /// A norm of zero leaves the ratio at 1; excluded tensors get neither ratio nor decay.
    @Test(arguments: LARS.Variant.allCases) func zerosAndExclusions(variant: LARS.Variant) throws {
        let store = try store([
            ("still", [8, 4], .weight), ("none", [8, 4], .weight), ("head.dense", [8, 4], .weight),
            ("scale", [8], .scale),
        ])
        setGradients(store, step: 0)
        try store.set("still", Tensor([8, 4]))
        for slot in store.parameters where slot.name == "none" {
            for i in 0..<32 { store.gradientBlock.base[slot.offset + i] = 0 }
        }
        var lars = LARS(variant: variant)
        lars.excluded = ["head."]
        let before = store.tensors()
        Optimizer(.lars(lars), weightDecay: 0, for: store).step(rate: 0.5, threads: 1)
        for (name, old) in before {
            let new = try #require(store.tensor(name))
            for i in old.elements.indices {
                let gradient = name == "none" ? 0 : 0.1 * Self.signed("lars-gradient-\(name)-0", i)
                #expect(abs(new.elements[i] - (old.elements[i] - 0.5 * gradient)) < 1e-6, "\(name)")
            }
        }
    }

    @Test func threadsDoNotMatter() throws {
        var results: [[Tensor]] = []
        for threads in [1, 2, 3] {
            let store = try store([
                ("weight", [33, 65], .weight), ("bias", [33], .bias), ("last", [7, 5], .weight),
            ])
            let optimizer = Optimizer(.defaultLARS, weightDecay: 0.1, for: store)
            for step in 0..<2 {
                setGradients(store, step: step)
                optimizer.step(rate: 0.3, threads: threads)
            }
            results.append(store.tensors().map(\.tensor))
        }
        let isSame = results[1] == results[0] && results[2] == results[0]
        #expect(isSame)
    }
}
