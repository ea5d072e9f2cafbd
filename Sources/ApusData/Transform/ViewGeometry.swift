import ApusTensor

/// A rectangle of pixels.
package struct Box: Hashable, Sendable {
    package var top: Int
    package var left: Int
    package var height: Int
    package var width: Int

    package init(top: Int, left: Int, height: Int, width: Int) {
        self.top = top
        self.left = left
        self.height = height
        self.width = width
    }

    var bottom: Int { top + height }
    var right: Int { left + width }

    /// The smallest rectangle that holds both.
    func union(_ other: Box) -> Box {
        let top = min(top, other.top)
        let left = min(left, other.left)
        return Box(
            top: top, left: left, height: max(bottom, other.bottom) - top,
            width: max(right, other.right) - left)
    }
}

/// Which part of an image is seen and how: all decisions about one view of one image, made
/// before a pixel is touched.
package struct ViewGeometry: Hashable, Sendable {
    /// The part of the stored image that is used; nothing outside of it is looked at.
    package var source: Box
    /// The size that part is resized to; equal to the size of `source` if it is not resized.
    package var resized: ImageSize
    /// The part of the resized image that becomes the output; what lies outside is black.
    package var window: Box
    /// Whether the output is mirrored left to right.
    package var flips: Bool

    package var isResized: Bool {
        resized.height != source.height || resized.width != source.width
    }

    /// The view of an image of size `size`; without an augmentation and a key it is the plain one.
    ///
    /// Throws if the image is too small for the crop; `name` is what the error calls it.
    package init(
        of size: ImageSize, preprocessing: Preprocessing, augmentation: Augmentation? = nil,
        key: RandomKey? = nil, output: ImageSize, name: String
    ) throws {
        flips = false
        source = Box(top: 0, left: 0, height: size.height, width: size.width)
        if let key, let part = augmentation?.randomResizedCrop {
            source = part.box(in: size, key: key.child("resizedCrop"))
            resized = output
            window = Box(top: 0, left: 0, height: output.height, width: output.width)
        } else {
            resized = preprocessing.resize.size(of: size)
            // A strip one pixel high would become millions of pixels long.
            guard resized.width <= Self.maximumPixels / max(resized.height, 1) else {
                throw DataError(
                    name, "is \(size) pixels and would be resized to \(resized)",
                    remedy: "remove it or cut it to a less extreme shape")
            }
            let padding = key == nil ? 0 : augmentation?.randomCropPadding ?? 0
            let spareRows = resized.height + 2 * padding - output.height
            let spareColumns = resized.width + 2 * padding - output.width
            guard resized.height >= output.height, resized.width >= output.width else {
                throw DataError(
                    name, "is \(resized) pixels, smaller than the \(output) of the network's input",
                    remedy: "resize images to \(output) or more, or take a smaller crop")
            }
            // A view never leaves out part of an image unless a crop was asked for.
            guard preprocessing.crop != nil || resized == output else {
                throw DataError(
                    name, "is \(resized) pixels, where other images are \(output)",
                    remedy: "resize images to one size, or crop them to one size")
            }
            window = Box(
                top: Self.half(spareRows), left: Self.half(spareColumns), height: output.height,
                width: output.width)
            if padding > 0, let key {
                let place = key.child("crop")
                window.top = place.integer(below: spareRows + 1, at: 0) - padding
                window.left = place.integer(below: spareColumns + 1, at: 1) - padding
            }
        }
        if let key, augmentation?.horizontalFlip == true {
            flips = key.child("flip").uniform(at: 0) < 0.5
        }
    }

    /// The part of the image that the pixels of the window are made of.
    func needed(_ interpolation: Interpolation) -> Box {
        func range(_ first: Int, _ count: Int, _ from: Int, _ to: Int) -> (Int, Int) {
            let scale = Double(from) / Double(to)
            let support = from == to ? 0 : interpolation.support * max(scale, 1) + 1
            let low = max(0, min(from - 1, Int((scale * Double(first) - support).rounded(.down))))
            let high = Int((scale * Double(first + count) + support).rounded(.up))
            return (low, max(low + 1, min(from, high)))
        }
        let rows = range(window.top, window.height, source.height, resized.height)
        let columns = range(window.left, window.width, source.width, resized.width)
        return Box(
            top: source.top + rows.0, left: source.left + columns.0, height: rows.1 - rows.0,
            width: columns.1 - columns.0)
    }

    /// The strongest reduction, 1, 2, 4 or 8, at which the source still has at least as many
    /// pixels as it is resized to, so that resizing never enlarges what decoding reduced.
    var reduction: Int {
        [8, 4, 2].first { denominator in
            source.height >= denominator * resized.height
                && source.width >= denominator * resized.width
        } ?? 1
    }

    private static let maximumPixels = 100_000_000

    /// Half of the pixels left over, rounded to even as torchvision's center crop does.
    private static func half(_ spare: Int) -> Int {
        Int((Double(spare) / 2).rounded(.toNearestOrEven))
    }
}
