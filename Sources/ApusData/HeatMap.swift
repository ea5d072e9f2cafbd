/// A rectangle of pixels, stored as `[left, top, width, height]`.
public struct BoundingBox: Hashable, Sendable {
    public var left: Int
    public var top: Int
    public var width: Int
    public var height: Int

    public init(left: Int, top: Int, width: Int, height: Int) {
        self.left = left
        self.top = top
        self.width = width
        self.height = height
    }
}

extension BoundingBox: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode([left, top, width, height])
    }
}

/// A part of an image whose edges need not be those of pixels.
public struct ImageRegion: Hashable, Sendable {
    public var left: Double
    public var top: Double
    public var width: Double
    public var height: Double

    public init(left: Double, top: Double, width: Double, height: Double) {
        self.left = left
        self.top = top
        self.width = width
        self.height = height
    }
}

/// A number for each cell of a grid over an image: where something is, or where a network looks.
public struct HeatMap: Hashable, Sendable {
    public let height: Int
    public let width: Int
    /// Row by row from the top.
    public let values: [Float]

    /// Wraps `values`, whose number must be `height * width`.
    public init(height: Int, width: Int, values: [Float]) {
        precondition(height > 0 && width > 0, "a map has at least one cell")
        precondition(values.count == height * width, "\(values.count) do not fill the map")
        self.height = height
        self.width = width
        self.values = values
    }

    public var maximum: Float { values.reduce(-.infinity, max) }

    /// The value at a place given in cells, linear between the centers of four cells and constant
    /// beyond the outermost.
    public func value(row: Double, column: Double) -> Float {
        func split(_ position: Double, _ count: Int) -> (Int, Int, Float) {
            let place = min(max(position - 0.5, 0), Double(count - 1))
            let first = Int(place)
            return (first, min(first + 1, count - 1), Float(place - Double(first)))
        }
        let (top, bottom, down) = split(row, height)
        let (left, right, across) = split(column, width)
        func between(_ row: Int) -> Float {
            let start = values[row * width + left]
            return start + across * (values[row * width + right] - start)
        }
        return between(top) + down * (between(bottom) - between(top))
    }

    /// The map on a finer grid, linear between cells.
    public func resized(to size: ImageSize) -> HeatMap {
        let down = Double(height) / Double(size.height)
        let across = Double(width) / Double(size.width)
        var result: [Float] = []
        result.reserveCapacity(size.height * size.width)
        for y in 0..<size.height {
            for x in 0..<size.width {
                result.append(
                    value(row: (Double(y) + 0.5) * down, column: (Double(x) + 0.5) * across))
            }
        }
        return HeatMap(height: size.height, width: size.width, values: result)
    }

    /// The box, in cells, around the largest connected region of values above `threshold` times the
    /// maximum (Zhou et al. 2016, section 3.2); nil where no value is positive. Cells touch along
    /// their sides; of regions of one size the first from the top counts.
    public func box(threshold: Float = 0.2) -> BoundingBox? {
        let maximum = maximum
        guard maximum > 0 else { return nil }
        var isOpen = values.map { $0 > threshold * maximum }
        var best: (count: Int, box: BoundingBox)?
        for start in values.indices where isOpen[start] {
            isOpen[start] = false
            var waiting = [start]
            var count = 0
            var (top, left, bottom, right) = (height, width, 0, 0)
            while let cell = waiting.popLast() {
                let (y, x) = cell.quotientAndRemainder(dividingBy: width)
                count += 1
                (top, left) = (min(top, y), min(left, x))
                (bottom, right) = (max(bottom, y), max(right, x))
                for (next, isInside) in [
                    (cell - 1, x > 0), (cell + 1, x < width - 1),
                    (cell - width, y > 0), (cell + width, y < height - 1),
                ] where isInside && isOpen[next] {
                    isOpen[next] = false
                    waiting.append(next)
                }
            }
            if count > best?.count ?? 0 {
                let box = BoundingBox(
                    left: left, top: top, width: right - left + 1, height: bottom - top + 1)
                best = (count, box)
            }
        }
        return best?.box
    }
}
