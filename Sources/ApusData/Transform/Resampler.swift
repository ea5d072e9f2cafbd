import CKernels

/// Resizes planes of floats, with the weights and kernels that `ImageTransform` uses on bytes.
package final class Resampler {
    package let input: ImageSize
    package let output: ImageSize
    private let horizontal = AxisFilter()
    private let vertical = AxisFilter()

    package init(from input: ImageSize, to output: ImageSize, _ interpolation: Interpolation) {
        self.input = input
        self.output = output
        func prepare(_ filter: AxisFilter, _ from: Int, _ to: Int) {
            filter.prepare(
                offset: 0, length: Double(from), bounds: 0..<from, outputs: to, range: 0..<to,
                mirrors: false, interpolation)
        }
        prepare(horizontal, input.width, output.width)
        prepare(vertical, input.height, output.height)
    }

    /// The number of floats of working memory that a plane needs.
    package var scratchCount: Int { input.width + 1 }

    /// Resizes a plane of `input` size into one of `output` size; not clamped.
    package func resize(
        _ plane: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        for y in 0..<output.height {
            let top = vertical.first + Int(vertical.starts[y])
            apus_resample_float_columns(
                plane + top * input.width + horizontal.first, input.width,
                vertical.weights + y * vertical.taps, vertical.taps, scratch,
                horizontal.end - horizontal.first)
            apus_resample_row(
                scratch, 1, horizontal.starts, horizontal.weights, horizontal.taps, output.width,
                -.infinity, .infinity, [1], [0], target + y * output.width, 0)
        }
    }
}
