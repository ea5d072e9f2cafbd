import ApusData
import Foundation

/// Points in the plane, colored by class, with a legend: as a PNG picture or as SVG.
public struct PointMap: Sendable {
    public var title: String
    /// Coordinates; both axes get the same scale.
    public var points: [(x: Double, y: Double)]
    /// The class of every point; nil where there are none.
    public var labels: [Int]?
    public var classNames: [String]
    /// What every point is called, shown by viewers of SVG when one points at it.
    public var names: [String]

    public init(
        title: String, points: [(x: Double, y: Double)], labels: [Int]? = nil,
        classNames: [String] = [], names: [String] = []
    ) {
        precondition(labels.map { $0.count == points.count } ?? true, "a label for every point")
        self.title = title
        self.points = points
        self.labels = labels
        self.classNames = classNames
        self.names = names
    }

    private static let side = 900
    private static let margin = 24
    private static let titleHeight = 44
    private static let lineHeight = 24
    private static let textScale = 2

    /// Radius of a point: fewer ones are larger.
    private var radius: Double { points.count > 4000 ? 2 : points.count > 800 ? 3 : 5 }

    /// Classes that have points, with their numbers.
    private var legend: [(label: Int, text: String)] {
        guard let labels else { return [] }
        var counts = [Int](repeating: 0, count: classNames.count)
        for label in labels { counts[label] += 1 }
        return classNames.indices.filter { counts[$0] > 0 }.map {
            ($0, "\(classNames[$0]) (\(counts[$0]))")
        }
    }

    private var legendWidth: Int {
        let letters = legend.map(\.text.count).max() ?? 0
        return legend.isEmpty ? 0 : min(letters, 40) * BitmapFont.advance * Self.textScale + 40
    }

    /// The height of the panel: what the points need, within a third and the whole of its width.
    private var panelHeight: Int {
        let (xs, ys) = (points.map(\.x), points.map(\.y))
        let spans = [xs, ys].map { ($0.max() ?? 1) - ($0.min() ?? 0) }
        guard spans[0] > 0 else { return Self.side }
        return Int(Double(Self.side) * min(max(spans[1] / spans[0], 1 / 3), 1))
    }

    private var width: Int { Self.side + 2 * Self.margin + legendWidth }
    private var height: Int {
        max(
            Self.titleHeight + panelHeight + Self.margin,
            Self.titleHeight + legend.count * Self.lineHeight + Self.margin)
    }

    /// The points in pixels; y grows upwards in the plane, downwards in the picture.
    private var places: [(x: Double, y: Double)] {
        let (xs, ys) = (points.map(\.x), points.map(\.y))
        let (left, right) = (xs.min() ?? 0, xs.max() ?? 1)
        let (bottom, top) = (ys.min() ?? 0, ys.max() ?? 1)
        let panelHeight = Double(panelHeight)
        let border = 2 * radius + 8
        func factor(_ room: Double, _ span: Double) -> Double {
            span > 0 ? (room - border) / span : .infinity
        }
        let smaller = min(
            factor(Double(Self.side), right - left), factor(panelHeight, top - bottom))
        let scale = smaller.isFinite ? smaller : 0
        let centerX = Double(Self.margin) + Double(Self.side) / 2
        let centerY = Double(Self.titleHeight) + panelHeight / 2
        return points.map { point in
            (
                centerX + (point.x - (left + right) / 2) * scale,
                centerY - (point.y - (bottom + top) / 2) * scale
            )
        }
    }

    /// The order in which points are drawn: mixed, so that no class covers another.
    private var order: [Int] {
        // A stride that shares no factor with the count visits every point.
        let count = points.count
        guard count > 2 else { return Array(0..<count) }
        var stride = Int(Double(count) * 0.618) | 1
        func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
        while divisor(stride, count) != 1 { stride += 1 }
        return (0..<count).map { $0 * stride % count }
    }

    private func color(_ point: Int) -> [UInt8] {
        labels.map { ClassPalette.color($0[point], of: classNames.count) } ?? [31, 119, 180]
    }

    /// Draws the map.
    public func image() -> Image {
        var canvas = Canvas(width: width, height: height)
        let gray: [UInt8] = [225, 225, 225]
        let (left, top) = (Self.margin, Self.titleHeight)
        for (x, y, w, h) in [
            (left, top, Self.side, 1), (left, top + panelHeight - 1, Self.side, 1),
            (left, top, 1, panelHeight), (left + Self.side - 1, top, 1, panelHeight),
        ] { canvas.fill(left: x, top: y, width: w, height: h, gray) }
        let letters = width / (BitmapFont.advance * Self.textScale) - 4
        canvas.write(
            String(title.prefix(letters)), left: left, top: 16, scale: Self.textScale,
            [40, 40, 40])
        let places = places
        for point in order {
            canvas.disc(
                x: places[point].x, y: places[point].y, radius: radius, alpha: 0.75, color(point))
        }
        for (line, entry) in legend.enumerated() {
            let x = left + Self.side + 16
            let y = top + line * Self.lineHeight + 12
            canvas.disc(
                x: Double(x) + 6, y: Double(y), radius: 6,
                ClassPalette.color(entry.label, of: classNames.count))
            canvas.write(
                String(entry.text.prefix(40)), left: x + 20, top: y - 7, scale: Self.textScale,
                [40, 40, 40])
        }
        return canvas.image
    }

    /// The map as an SVG document.
    public func svg() -> String {
        func number(_ value: Double) -> String { String(format: "%.1f", value) }
        func css(_ color: [UInt8]) -> String { "rgb(\(color[0]),\(color[1]),\(color[2]))" }
        var lines = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" \
            width="\(width)" height="\(height)" font-family="sans-serif" font-size="14">
            """,
            "<title>\(escaped(title))</title>",
            "<rect width=\"\(width)\" height=\"\(height)\" fill=\"white\"/>",
            """
            <rect x="\(Self.margin)" y="\(Self.titleHeight)" width="\(Self.side)" \
            height="\(panelHeight)" fill="none" stroke="#e1e1e1"/>
            """,
            "<text x=\"\(Self.margin)\" y=\"28\" font-size=\"18\">\(escaped(title))</text>",
            "<g fill-opacity=\"0.75\">",
        ]
        let places = places
        for point in order {
            let name = point < names.count ? "<title>\(escaped(names[point]))</title>" : ""
            lines.append(
                """
                <circle cx="\(number(places[point].x))" cy="\(number(places[point].y))" \
                r="\(number(radius))" fill="\(css(color(point)))">\(name)</circle>
                """)
        }
        lines.append("</g>")
        for (line, entry) in legend.enumerated() {
            let x = Self.margin + Self.side + 22
            let y = Self.titleHeight + line * Self.lineHeight + 12
            let color = ClassPalette.color(entry.label, of: classNames.count)
            lines.append("<circle cx=\"\(x)\" cy=\"\(y)\" r=\"6\" fill=\"\(css(color))\"/>")
            lines.append("<text x=\"\(x + 14)\" y=\"\(y + 5)\">\(escaped(entry.text))</text>")
        }
        lines.append("</svg>")
        return lines.joined(separator: "\n") + "\n"
    }

    /// Text inside an element; characters that XML does not allow become question marks.
    private func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\u{0}"..."\u{8}", "\u{B}", "\u{C}", "\u{E}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}":
                result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
