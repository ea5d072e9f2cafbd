import ApusGraph
import ApusTensor

// A convolution is a sum of products
//
//     y[n, o, oy, ox] = bias[o] + sum over i, ky, kx of w[o, i, ky, kx] * x[n, c, iy, ix]
//     c  = (group of o) * (channels / groups) + i
//     iy = oy * stride - top  + ky * dilation
//     ix = ox * stride - left + kx * dilation
//
// where pixels outside the image are zero. It is linear in x and in w, so each gradient sums the
// same products with the roles exchanged; all three passes share one enumeration of them.

extension ReferenceExecutor {
    /// Calls `body` with the three indices of every product that has no zero of the padding in it.
    @inline(__always)
    private static func forEachProduct(
        x: Grid, w: Grid, y: Grid, _ window: Window, groups: Int,
        _ body: (_ x: Int, _ w: Int, _ y: Int) -> Void
    ) {
        let outputsPerGroup = y.channels / groups
        // The weights' second dimension, i, counts the input channels of one group.
        let inputsPerGroup = w.channels
        for n in 0..<y.batch {
            for o in 0..<y.channels {
                let firstChannel = o / outputsPerGroup * inputsPerGroup
                for i in 0..<inputsPerGroup {
                    for ky in 0..<w.height {
                        for kx in 0..<w.width {
                            let weight = w.index(o, i, ky, kx)
                            for oy in 0..<y.height {
                                let iy =
                                    oy * window.stride.height - window.padding.top
                                    + ky * window.dilation.height
                                guard iy >= 0, iy < x.height else { continue }
                                let row = x.index(n, firstChannel + i, iy, 0)
                                let outputRow = y.index(n, o, oy, 0)
                                for ox in 0..<y.width {
                                    let ix =
                                        ox * window.stride.width - window.padding.left
                                        + kx * window.dilation.width
                                    guard ix >= 0, ix < x.width else { continue }
                                    body(row + ix, weight, outputRow + ox)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    static func convolution(
        _ x: ReferenceTensor, _ w: ReferenceTensor, _ bias: ReferenceTensor?, _ window: Window,
        _ groups: Int, output: Shape
    ) -> ReferenceTensor {
        var y = ReferenceTensor(output)
        let grid = Grid(output)
        if let bias {
            for n in 0..<grid.batch {
                for c in 0..<grid.channels {
                    for pixel in grid.pixels(n, c) { y[pixel] = bias[c] }
                }
            }
        }
        x.elements.withUnsafeBufferPointer { x_ in
            w.elements.withUnsafeBufferPointer { w_ in
                y.elements.withUnsafeMutableBufferPointer { y_ in
                    forEachProduct(
                        x: Grid(x.shape), w: Grid(w.shape), y: grid, window, groups: groups
                    ) {
                        y_[$2] += w_[$1] * x_[$0]
                    }
                }
            }
        }
        return y
    }

    /// dx = sum of w * dy
    static func convolutionInputGradient(
        _ dy: ReferenceTensor, _ w: ReferenceTensor, _ window: Window, _ groups: Int, input: Shape
    ) -> ReferenceTensor {
        var dx = ReferenceTensor(input)
        dy.elements.withUnsafeBufferPointer { dy_ in
            w.elements.withUnsafeBufferPointer { w_ in
                dx.elements.withUnsafeMutableBufferPointer { dx_ in
                    forEachProduct(
                        x: Grid(input), w: Grid(w.shape), y: Grid(dy.shape), window, groups: groups
                    ) {
                        dx_[$0] += w_[$1] * dy_[$2]
                    }
                }
            }
        }
        return dx
    }

    /// dw = sum of x * dy
    static func convolutionWeightGradient(
        _ x: ReferenceTensor, _ dy: ReferenceTensor, _ window: Window, _ groups: Int,
        weights: Shape
    ) -> ReferenceTensor {
        var dw = ReferenceTensor(weights)
        x.elements.withUnsafeBufferPointer { x_ in
            dy.elements.withUnsafeBufferPointer { dy_ in
                dw.elements.withUnsafeMutableBufferPointer { dw_ in
                    forEachProduct(
                        x: Grid(x.shape), w: Grid(weights), y: Grid(dy.shape), window,
                        groups: groups
                    ) {
                        dw_[$1] += x_[$0] * dy_[$2]
                    }
                }
            }
        }
        return dw
    }

    /// The sum over images and pixels, [N, C, H, W] -> [C]: the gradient of a bias.
    static func channelSums(_ x: ReferenceTensor) -> ReferenceTensor {
        let grid = Grid(x.shape)
        var sums = ReferenceTensor([grid.channels])
        for n in 0..<grid.batch {
            for c in 0..<grid.channels {
                for pixel in grid.pixels(n, c) { sums[c] += x[pixel] }
            }
        }
        return sums
    }
}
