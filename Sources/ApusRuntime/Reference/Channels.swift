import ApusTensor

extension ReferenceExecutor {
    static func scaleChannels(_ x: ReferenceTensor, _ scale: ReferenceTensor) -> ReferenceTensor {
        let grid = Grid(x.shape)
        var y = x
        for n in 0..<grid.batch {
            for c in 0..<grid.channels {
                for i in grid.pixels(n, c) { y[i] *= scale[n * grid.channels + c] }
            }
        }
        return y
    }

    static func scaleWeights(_ w: ReferenceTensor, _ scale: ReferenceTensor) -> ReferenceTensor {
        let inputs = w.shape[1]
        var y = w
        for i in 0..<w.shape.count { y[i] *= scale[i % inputs] }
        return y
    }

    static func channelDot(_ a: ReferenceTensor, _ b: ReferenceTensor) -> ReferenceTensor {
        let grid = Grid(a.shape)
        var y = ReferenceTensor([grid.batch, grid.channels, 1, 1])
        for n in 0..<grid.batch {
            for c in 0..<grid.channels {
                y[n * grid.channels + c] = grid.pixels(n, c).reduce(0) { $0 + a[$1] * b[$1] }
            }
        }
        return y
    }

    static func concatenate(_ branches: [ReferenceTensor], output: Shape) -> ReferenceTensor {
        var elements: [Double] = []
        for n in 0..<output[0] {
            for branch in branches {
                let image = branch.shape.count / output[0]
                elements += branch.elements[n * image..<(n + 1) * image]
            }
        }
        return ReferenceTensor(output, elements)
    }

    static func slice(_ x: ReferenceTensor, _ start: Int, _ count: Int) -> ReferenceTensor {
        let grid = Grid(x.shape)
        var elements: [Double] = []
        for n in 0..<grid.batch {
            for c in start..<start + count { elements += x.elements[grid.pixels(n, c)] }
        }
        return ReferenceTensor([grid.batch, count, grid.height, grid.width], elements)
    }

    /// y[n, before + c, oy, ox] = x[n, c, stride * oy, stride * ox]; the other channels are zero.
    static func subsamplePad(
        _ x: ReferenceTensor, _ stride: Int, _ before: Int, output: Shape
    ) -> ReferenceTensor {
        var y = ReferenceTensor(output)
        forEachKept(Grid(x.shape), Grid(output), stride, before) { y[$1] = x[$0] }
        return y
    }

    static func subsamplePadGradient(
        _ dy: ReferenceTensor, _ stride: Int, _ before: Int, input: Shape
    ) -> ReferenceTensor {
        var dx = ReferenceTensor(input)
        forEachKept(Grid(input), Grid(dy.shape), stride, before) { dx[$0] = dy[$1] }
        return dx
    }

    /// Calls `body` with the input and output index of every pixel that subsampling keeps.
    private static func forEachKept(
        _ input: Grid, _ output: Grid, _ stride: Int, _ before: Int,
        _ body: (_ input: Int, _ output: Int) -> Void
    ) {
        for n in 0..<input.batch {
            for c in 0..<input.channels {
                for oy in 0..<output.height {
                    for ox in 0..<output.width {
                        body(
                            input.index(n, c, stride * oy, stride * ox),
                            output.index(n, before + c, oy, ox))
                    }
                }
            }
        }
    }
}
