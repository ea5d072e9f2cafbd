import ApusGraph
import ApusTensor

extension ReferenceExecutor {
    /// Calls `body` for every pixel of the image under every window position; positions, and within
    /// one position pixels, in row-major order. Padding is skipped.
    private static func forEachPixel(
        input: Grid, output: Grid, _ window: Window, _ body: (_ input: Int, _ output: Int) -> Void
    ) {
        for n in 0..<output.batch {
            for c in 0..<output.channels {
                for oy in 0..<output.height {
                    for ox in 0..<output.width {
                        let top = oy * window.stride.height - window.padding.top
                        let left = ox * window.stride.width - window.padding.left
                        for ky in 0..<window.kernel.height {
                            for kx in 0..<window.kernel.width {
                                let iy = top + ky * window.dilation.height
                                let ix = left + kx * window.dilation.width
                                guard (0..<input.height).contains(iy),
                                    (0..<input.width).contains(ix)
                                else { continue }
                                body(input.index(n, c, iy, ix), output.index(n, c, oy, ox))
                            }
                        }
                    }
                }
            }
        }
    }

    /// For every output the index of the first of the largest pixels under its window.
    private static func winners(
        _ x: ReferenceTensor, _ window: Window, output: Shape
    ) -> [Int] {
        var winners = [Int?](repeating: nil, count: output.count)
        forEachPixel(input: Grid(x.shape), output: Grid(output), window) { input, output in
            guard let best = winners[output] else {
                winners[output] = input
                return
            }
            if x[input] > x[best] { winners[output] = input }
        }
        return winners.map { winner in
            guard let winner else { preconditionFailure("a pooling window sees only padding") }
            return winner
        }
    }

    static func maxPool(
        _ x: ReferenceTensor, _ window: Window, output: Shape
    ) -> ReferenceTensor {
        ReferenceTensor(output, winners(x, window, output: output).map { x[$0] })
    }

    /// The pixel that won receives the gradient; one that won several times receives the sum.
    static func maxPoolGradient(
        _ x: ReferenceTensor, dy: ReferenceTensor, _ window: Window
    ) -> ReferenceTensor {
        var dx = ReferenceTensor(x.shape)
        for (output, winner) in winners(x, window, output: dy.shape).enumerated() {
            dx[winner] += dy[output]
        }
        return dx
    }

    /// What each output divides its sum by: the kernel's size, or the pixels under the window.
    private static func divisors(
        _ window: Window, _ includesPadding: Bool, input: Shape, output: Shape
    ) -> [Double] {
        if includesPadding {
            return [Double](repeating: Double(window.kernel.count), count: output.count)
        }
        var counts = [Double](repeating: 0, count: output.count)
        forEachPixel(input: Grid(input), output: Grid(output), window) { counts[$1] += 1 }
        precondition(!counts.contains(0), "a pooling window sees only padding")
        return counts
    }

    static func averagePool(
        _ x: ReferenceTensor, _ window: Window, _ includesPadding: Bool, output: Shape
    ) -> ReferenceTensor {
        let divisors = divisors(window, includesPadding, input: x.shape, output: output)
        var y = ReferenceTensor(output)
        forEachPixel(input: Grid(x.shape), output: Grid(output), window) { y[$1] += x[$0] }
        for i in y.elements.indices { y[i] /= divisors[i] }
        return y
    }

    static func averagePoolGradient(
        _ dy: ReferenceTensor, _ window: Window, _ includesPadding: Bool, input: Shape
    ) -> ReferenceTensor {
        let divisors = divisors(window, includesPadding, input: input, output: dy.shape)
        var dx = ReferenceTensor(input)
        forEachPixel(input: Grid(input), output: Grid(dy.shape), window) {
            dx[$0] += dy[$1] / divisors[$1]
        }
        return dx
    }

    static func globalAveragePool(_ x: ReferenceTensor) -> ReferenceTensor {
        let grid = Grid(x.shape)
        var y = ReferenceTensor([grid.batch, grid.channels, 1, 1])
        for n in 0..<grid.batch {
            for c in 0..<grid.channels {
                let sum = grid.pixels(n, c).reduce(0) { $0 + x[$1] }
                y[n * grid.channels + c] = sum / Double(grid.plane)
            }
        }
        return y
    }

    static func globalAveragePoolGradient(
        _ dy: ReferenceTensor, input: Shape
    ) -> ReferenceTensor {
        let grid = Grid(input)
        var dx = ReferenceTensor(input)
        for n in 0..<grid.batch {
            for c in 0..<grid.channels {
                for i in grid.pixels(n, c) {
                    dx[i] = dy[n * grid.channels + c] / Double(grid.plane)
                }
            }
        }
        return dx
    }
}
