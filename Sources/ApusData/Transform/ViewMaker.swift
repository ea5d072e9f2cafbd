import ApusTensor

/// Makes all views of an image, for one thread: decides first what will be seen, and decodes no
/// more than that, once for all views.
///
/// A JPEG picture is decoded at 1/2, 1/4 or 1/8 of its size where the parts that are seen still
/// have at least as many pixels as they are resized to; only augmented views are, so that
/// measurements are made on what other implementations measure on.
package final class ViewMaker {
    package let views: [ImageTransform]
    package let scratch = TransformScratch()
    private let decoder: ImageDecoder
    private var reader: JPEGReader?
    private var geometries: [ViewGeometry] = []

    package init(_ views: [ImageTransform], decoder: ImageDecoder = ImageDecoder()) {
        self.views = views
        self.decoder = decoder
    }

    private var channels: Int { views[0].preprocessing.channels }
    private var interpolation: Interpolation { views[0].preprocessing.interpolation }

    /// Writes the views of an image.
    ///
    /// - Parameters:
    ///   - key: the key of a view, nil for a plain one
    ///   - target: where a view goes
    package func make(
        _ stored: StoredImage, name: String, key: (Int) -> RandomKey?,
        to target: (Int) -> UnsafeMutablePointer<Float>
    ) throws {
        switch stored {
        case .decoded(let image): try write(image, name, key, target)
        case .encoded(let bytes) where ImageDecoder.isJPEG(bytes) && !needsWhole(key):
            try bytes.withUnsafeBufferPointer { try write(jpeg: $0, name, key, target) }
        case .encoded(let bytes):
            let image = try decoder.decode(bytes, name: name)
            scratch.clock?.mark(.decode)
            try write(image, name, key, target)
        }
    }

    private func needsWhole(_ key: (Int) -> RandomKey?) -> Bool {
        views.indices.contains { views[$0].roundsToBytes(key($0)) }
    }

    private func write(
        _ image: Image, _ name: String, _ key: (Int) -> RandomKey?,
        _ target: (Int) -> UnsafeMutablePointer<Float>
    ) throws {
        if needsWhole(key) {
            for (view, transform) in views.enumerated() {
                try transform.write(
                    image, name: name, key: key(view), to: target(view), scratch: scratch)
            }
            return
        }
        try decide(image.size, name, key)
        image.converted(toChannels: channels).withRegion { write($0, key, target) }
    }

    private func write(
        jpeg bytes: UnsafeBufferPointer<UInt8>, _ name: String, _ key: (Int) -> RandomKey?,
        _ target: (Int) -> UnsafeMutablePointer<Float>
    ) throws {
        let reader = try reader ?? JPEGReader(name: name)
        self.reader = reader
        let header = try reader.begin(bytes, name: name, limits: decoder)
        try decide(header.uprightSize, name, key)
        var denominator = 8
        var needed = geometries[0].needed(interpolation)
        for (view, geometry) in geometries.enumerated() {
            needed = needed.union(geometry.needed(interpolation))
            denominator = min(denominator, key(view) == nil ? 1 : geometry.reduction)
        }
        let part = Self.reduced(
            EXIFOrientation.stored(needed, header.orientation, in: header.size), header.size,
            denominator)
        // Gray becomes color in the decoder; all other conversions are those of whole images.
        let isDirect = header.orientation == 1 && header.samples <= channels
        let (pixels, box) = try reader.read(
            part, denominator: denominator, samples: isDirect ? channels : header.samples,
            name: name, memory: scratch.bytes)
        let full = EXIFOrientation.upright(
            Box(
                top: box.top * denominator, left: box.left * denominator,
                height: box.height * denominator, width: box.width * denominator),
            header.orientation, in: header.size)
        func writeRegion(_ pixels: UnsafePointer<UInt8>, _ width: Int, _ height: Int) {
            scratch.clock?.mark(.decode)
            write(
                PixelRegion(
                    pixels: pixels, width: width, height: height, channels: channels,
                    top: full.top, left: full.left, denominator: denominator), key, target)
        }
        if isDirect {
            writeRegion(pixels, box.width, box.height)
        } else {
            let count = box.width * box.height * header.samples
            let image = JPEGDecoder.image(
                Array(UnsafeBufferPointer(start: pixels, count: count)),
                ImageSize(height: box.height, width: box.width), header
            ).converted(toChannels: channels)
            image.withRegion { writeRegion($0.pixels, image.width, image.height) }
        }
    }

    /// The part of the reduced picture that shows `box`, and a little more: at the first and the
    /// last column of a part libjpeg does not know the neighbors that it smooths color with.
    private static func reduced(_ box: Box, _ size: ImageSize, _ denominator: Int) -> Box {
        func range(_ low: Int, _ high: Int, _ size: Int, margin: Int) -> (Int, Int) {
            let limit = (size + denominator - 1) / denominator
            return (
                max(0, low / denominator - margin),
                min(limit, (high + denominator - 1) / denominator + margin)
            )
        }
        let rows = range(box.top, box.bottom, size.height, margin: 0)
        let columns = range(box.left, box.right, size.width, margin: 2)
        return Box(
            top: rows.0, left: columns.0, height: rows.1 - rows.0, width: columns.1 - columns.0)
    }

    private func decide(_ size: ImageSize, _ name: String, _ key: (Int) -> RandomKey?) throws {
        geometries.removeAll(keepingCapacity: true)
        for (view, transform) in views.enumerated() {
            geometries.append(try transform.geometry(of: size, key: key(view), name: name))
        }
    }

    private func write(
        _ region: PixelRegion, _ key: (Int) -> RandomKey?,
        _ target: (Int) -> UnsafeMutablePointer<Float>
    ) {
        for (view, transform) in views.enumerated() {
            transform.write(
                region, geometries[view], key: key(view), to: target(view), scratch: scratch)
        }
    }
}
