import CKernels

extension ViewGeometry {
    /// Writes the view as planes: crop, resizing, mirroring, and the way to floats in one pass over
    /// the rows of the region. What lies outside of the image is black.
    ///
    /// - Parameters:
    ///   - scales: what samples of 0...255 are multiplied by, a number a channel.
    ///   - biases: what is added then.
    func write(
        _ region: PixelRegion, interpolation: Interpolation, scales: [Float], biases: [Float],
        to target: UnsafeMutablePointer<Float>, scratch: TransformScratch
    ) {
        let plane = window.height * window.width
        let rows =
            max(
                window.top, 0)..<max(
                max(window.top, 0), min(window.top + window.height, resized.height))
        let columns =
            max(
                window.left, 0)..<max(
                max(window.left, 0), min(window.left + window.width, resized.width))
        if rows.count < window.height || columns.count < window.width {
            for c in 0..<region.channels {
                (target + c * plane).update(repeating: biases[c], count: plane)
            }
        }
        guard !rows.isEmpty, !columns.isEmpty else { return }
        let before =
            flips
            ? window.left + window.width - columns.upperBound : columns.lowerBound - window.left
        let start = target + (rows.lowerBound - window.top) * window.width + before
        if isResized || region.denominator > 1 {
            writeResized(
                region, interpolation, rows, columns, scales, biases, to: start, plane, scratch)
        } else {
            let left = source.left - region.left + columns.lowerBound
            for (index, row) in rows.enumerated() {
                let from =
                    region.pixels + (source.top - region.top + row) * region.stride
                    + left * region.channels
                apus_convert_row(
                    from, region.channels, columns.count, flips ? 1 : 0, scales, biases,
                    start + index * window.width, plane)
            }
        }
    }

    /// Every output row is a weighted sum of rows of bytes, and every output pixel a weighted sum
    /// of pixels of that row: what lies between never leaves the first cache.
    private func writeResized(
        _ region: PixelRegion, _ interpolation: Interpolation, _ rows: Range<Int>,
        _ columns: Range<Int>, _ scales: [Float], _ biases: [Float],
        to start: UnsafeMutablePointer<Float>, _ plane: Int, _ scratch: TransformScratch
    ) {
        let horizontal = scratch.horizontal
        let vertical = scratch.vertical
        Self.prepare(
            horizontal, from: source.left - region.left, source.width, within: region.width,
            region.denominator, outputs: resized.width, columns, mirrors: flips, interpolation)
        Self.prepare(
            vertical, from: source.top - region.top, source.height, within: region.height,
            region.denominator, outputs: resized.height, rows, mirrors: false, interpolation)
        // Cubic weights overshoot; a picture does not leave the range of its samples.
        let range: (low: Float, high: Float) =
            interpolation == .bilinear ? (-.infinity, .infinity) : (0, 255)
        let channels = region.channels
        let count = (horizontal.end - horizontal.first) * channels
        // The last pixel is read as four floats, one of which is not used.
        let row = scratch.floats(count + 1)
        row[count] = 0
        let corner = region.pixels + vertical.first * region.stride + horizontal.first * channels
        for y in 0..<rows.count {
            apus_resample_columns(
                corner + Int(vertical.starts[y]) * region.stride, region.stride,
                vertical.weights + y * vertical.taps, vertical.taps, row, count)
            apus_resample_row(
                row, channels, horizontal.starts, horizontal.weights, horizontal.taps,
                columns.count, range.low, range.high, scales, biases, start + y * window.width,
                plane)
        }
    }

    /// The weights of one axis. Nothing outside of the source is looked at, as if it had been cut
    /// out before; at a fraction of the size, up to the pixel that holds its edge.
    private static func prepare(
        _ filter: AxisFilter, from begin: Int, _ length: Int, within size: Int,
        _ denominator: Int, outputs: Int, _ range: Range<Int>, mirrors: Bool,
        _ interpolation: Interpolation
    ) {
        let low = max(begin, 0) / denominator
        let high = min(size, (begin + length + denominator - 1) / denominator)
        filter.prepare(
            offset: Double(begin) / Double(denominator),
            length: Double(length) / Double(denominator), bounds: low..<max(high, low + 1),
            outputs: outputs, range: range, mirrors: mirrors, interpolation)
    }
}
