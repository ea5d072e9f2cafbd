import ApusTensor

/// Writes images as network input: preprocessing, and augmentation where a key is given.
public struct ImageTransform: Sendable {
    public let preprocessing: Preprocessing
    public let augmentation: Augmentation?
    /// The height and width of every result.
    public let output: ImageSize

    private let scales: [Float]
    private let biases: [Float]

    /// Checks both descriptions. `output` is the size of the results, which `outputSize(...)`
    /// gives for the first image of a set.
    public init(
        preprocessing: Preprocessing, augmentation: Augmentation? = nil, output: ImageSize
    ) throws {
        try preprocessing.validate()
        try augmentation?.validate()
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.output = output
        scales = preprocessing.deviation.map { 1 / (255 * $0) }
        biases = zip(preprocessing.mean, preprocessing.deviation).map { -$0 / $1 }
    }

    /// The size that images of size `size` have after preprocessing.
    public static func outputSize(of size: ImageSize, _ preprocessing: Preprocessing) -> ImageSize {
        preprocessing.crop ?? preprocessing.resize.size(of: size)
    }

    /// The number of floats an image becomes.
    public var count: Int { preprocessing.channels * output.height * output.width }

    /// Writes an image as `channels` planes of `output` size to `target`.
    ///
    /// - Parameters:
    ///   - key: the source of the augmentation's random numbers; nil for the plain image.
    ///   - name: what errors call the image.
    ///   - scratch: working memory that is kept from image to image, one for every thread.
    public func write(
        _ image: Image, name: String, key: RandomKey?, to target: UnsafeMutablePointer<Float>,
        scratch: TransformScratch
    ) throws {
        var geometry = try ViewGeometry(
            of: ImageSize(height: image.height, width: image.width), preprocessing: preprocessing,
            augmentation: augmentation, key: key, output: output, name: name)
        var picture = image.converted(toChannels: preprocessing.channels)
        if preprocessing.interpolation == .bicubicBytes, key == nil {
            picture = picture.resizedInBytes(to: geometry.resized, .bicubicBytes)
            geometry.source = Box(
                top: 0, left: 0, height: picture.height, width: picture.width)
        }
        picture.pixels.withUnsafeBufferPointer { pixels in
            guard let pixels = pixels.baseAddress else { return }
            if geometry.isResized {
                writeResized(pixels, picture, geometry, to: target, scratch)
            } else {
                writeCopied(pixels, picture, geometry, to: target)
            }
        }
    }

    /// Crop, flip and normalization in one pass over the stored bytes.
    private func writeCopied(
        _ pixels: UnsafePointer<UInt8>, _ image: Image, _ geometry: ViewGeometry,
        to target: UnsafeMutablePointer<Float>
    ) {
        let channels = image.channels
        let box = geometry.source
        let start = pixels + (box.top * image.width + box.left) * channels
        for c in 0..<channels {
            let scale = scales[c]
            let bias = biases[c]
            writeWindow(geometry, to: target + c * output.height * output.width, black: bias) {
                row, first, count, to, step in
                var from = start + (row * image.width + first) * channels + c
                // Two loops, as only a constant stride lets the compiler use vectors.
                if channels == 1 && step == 1 {
                    for i in 0..<count { to[i] = Float(from[i]) * scale + bias }
                } else {
                    var to = to
                    for _ in 0..<count {
                        to.pointee = Float(from.pointee) * scale + bias
                        from += channels
                        to += step
                    }
                }
            }
        }
    }

    /// The same from float planes, which the resampler makes of the part that is used.
    private func writeResized(
        _ pixels: UnsafePointer<UInt8>, _ image: Image, _ geometry: ViewGeometry,
        to target: UnsafeMutablePointer<Float>, _ scratch: TransformScratch
    ) {
        let channels = image.channels
        let box = geometry.source
        let resampler = scratch.resampler(
            from: ImageSize(height: box.height, width: box.width), to: geometry.resized,
            preprocessing.interpolation)
        let resizedCount = geometry.resized.height * geometry.resized.width
        let plane = scratch.floats(
            box.height * box.width + resampler.scratchCount + resizedCount)
        let working = plane + box.height * box.width
        let resized = working + resampler.scratchCount
        for c in 0..<channels {
            let scale = scales[c]
            let bias = biases[c]
            for y in 0..<box.height {
                var from = pixels + ((box.top + y) * image.width + box.left) * channels + c
                let to = plane + y * box.width
                for x in 0..<box.width {
                    to[x] = Float(from.pointee)
                    from += channels
                }
            }
            resampler.resize(plane, into: resized, scratch: working)
            writeWindow(geometry, to: target + c * output.height * output.width, black: bias) {
                row, first, count, to, step in
                let from = resized + row * geometry.resized.width + first
                for i in 0..<count {
                    // Cubic weights overshoot; a picture does not leave the range of its samples.
                    to[i * step] = min(max(from[i], 0), 255) * scale + bias
                }
            }
        }
    }

    /// Calls `body` for the part of every row of the window that lies inside the image, with the
    /// row, the first column, the number of columns, where they go, and in which direction; the
    /// rest is filled with `black`.
    @inline(__always)
    private func writeWindow(
        _ geometry: ViewGeometry, to target: UnsafeMutablePointer<Float>, black: Float,
        _ body: (Int, Int, Int, UnsafeMutablePointer<Float>, Int) -> Void
    ) {
        let window = geometry.window
        let first = max(window.left, 0)
        let end = max(first, min(window.left + window.width, geometry.resized.width))
        let before = min(first - window.left, window.width)
        let after = window.width - before - (end - first)
        for y in 0..<window.height {
            let to = target + y * window.width
            let row = window.top + y
            if row < 0 || row >= geometry.resized.height || end == first {
                to.update(repeating: black, count: window.width)
            } else if geometry.flips {
                to.update(repeating: black, count: after)
                body(row, first, end - first, to + (window.width - 1 - before), -1)
                (to + (window.width - before)).update(repeating: black, count: before)
            } else {
                to.update(repeating: black, count: before)
                body(row, first, end - first, to + before, 1)
                (to + (window.width - after)).update(repeating: black, count: after)
            }
        }
    }
}

/// Working memory of one thread that transforms images.
public final class TransformScratch {
    private var memory: UnsafeMutablePointer<Float>?
    private var capacity = 0
    private var lastResampler: (Interpolation, Resampler)?

    public init() {}

    deinit { memory?.deallocate() }

    /// At least `count` floats, valid until the next call; their values are arbitrary.
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        if let memory, capacity >= count { return memory }
        memory?.deallocate()
        let fresh = UnsafeMutablePointer<Float>.allocate(capacity: count)
        memory = fresh
        capacity = count
        return fresh
    }

    /// The resampler for these sizes; the last one is kept, as sizes often repeat.
    func resampler(
        from input: ImageSize, to output: ImageSize, _ interpolation: Interpolation
    ) -> Resampler {
        if let (kind, resampler) = lastResampler, kind == interpolation,
            resampler.input == input, resampler.output == output
        {
            return resampler
        }
        let fresh = Resampler(from: input, to: output, interpolation)
        lastResampler = (interpolation, fresh)
        return fresh
    }
}
