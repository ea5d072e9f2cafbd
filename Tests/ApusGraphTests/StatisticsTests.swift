import ApusGraph
import ApusTensor
import Testing

@Suite struct StatisticsTests {
    private func statistics(
        input: Shape = [3, 32, 32], batch: Int = 1, @LayerBuilder _ layers: () -> [Layer]
    ) throws -> Statistics {
        Statistics(
            try Network("n", input: input, layers).graph(batch: batch, mode: .inference))
    }

    @Test func countsParametersAndMultiplyAdds() throws {
        let s = try statistics(batch: 2) {
            Convolution("conv", 8, kernel: 3, stride: 2, bias: true)
            BatchNorm("bn")
            Convolution.depthwise("dw", kernel: 3)
            Convolution("g", 16, kernel: 1, groups: 2)
            GlobalAveragePool()
            Flatten()
            Dense("fc", 10)
        }
        let parameters = [3 * 8 * 9 + 8, 16, 8 * 9, 16 * 4, 16 * 10 + 10]
        #expect(s.parameters == parameters.reduce(0, +))
        let pixels = 2 * 16 * 16
        let adds = [pixels * 8 * 27, pixels * 8 * 9, pixels * 16 * 4, 2 * 16 * 10]
        #expect(s.multiplyAdds == adds.reduce(0, +))
        #expect(s.rows.map(\.parameters).reduce(0, +) == s.parameters)
        #expect(s.rows.map(\.multiplyAdds).reduce(0, +) == s.multiplyAdds)
        #expect(s.rows.first?.activationBytes == pixels * 8 * 4)
        #expect(s.rows.map(\.activationBytes).reduce(0, +) == s.activationBytes)
        #expect(s.rows.first?.path == "conv")
        #expect(s.rows.first?.operation == "convolution 3x3 /2 pad 1")
    }

    @Test func modesAgreeOnCosts() throws {
        let network = Network("n", input: [3, 8, 8]) {
            Convolution(8, kernel: 3)
            BatchNorm()
            GlobalAveragePool()
            Flatten()
            Dense(10)
        }
        let training = Statistics(try network.graph(batch: 2, mode: .training))
        let inference = Statistics(try network.graph(batch: 2, mode: .inference))
        #expect(training.parameters == inference.parameters)
        #expect(training.multiplyAdds == inference.multiplyAdds)
        #expect(training.rows.map(\.path) == inference.rows.map(\.path))
    }

    @Test func stackedSmallKernelsSeeAsFarAsLargeOnes() throws {
        let s = try statistics {
            for _ in 0..<5 { Convolution(4, kernel: 3) }
        }
        #expect(s.rows.map(\.receptiveField) == [3, 5, 7, 9, 11].map { Size($0) })
    }

    @Test func receptiveFieldOfTheResidualStem() throws {
        let s = try statistics(input: [3, 224, 224]) {
            Convolution("conv1", 64, kernel: 7, stride: 2)
            BatchNorm("bn1")
            Activation(.relu)
            MaxPool(kernel: 3, stride: 2, padding: .explicit(1))
            Residual {
                Convolution(64, kernel: 3)
                Convolution(64, kernel: 3)
            }
            GlobalAveragePool()
            Flatten()
            Dense(10)
        }
        let expected: [Int?] = [7, 7, 7, 11, 19, 27, 27, nil, nil, nil, nil]
        #expect(s.rows.map(\.receptiveField) == expected.map { $0.map { Size($0) } })
    }

    @Test func dilationAndStridesWidenTheField() throws {
        let s = try statistics {
            Convolution(4, kernel: 3, dilation: 2)
            SubsamplePad(8, stride: 2)
            AveragePool(kernel: 2)
            Concatenate {
                Identity()
                Convolution(4, kernel: 3)
            }
            Scale {
                GlobalAveragePool()
                Convolution(12, kernel: 1)
            }
        }
        let expected: [Int?] = [5, 5, 7, 15, 15, nil, nil, nil]
        #expect(s.rows.map(\.receptiveField) == expected.map { $0.map { Size($0) } })
    }
}
