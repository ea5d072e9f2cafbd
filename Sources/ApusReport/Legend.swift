/// Names of series with their line or color.
struct Legend: Hashable {
    struct Entry: Hashable {
        var name: String
        var color: Int
        /// Nil for areas.
        var dash: Int?

        /// The line or square, which ends 6 units before the name.
        func sample(_ left: Double, _ middle: Double) -> Markup {
            if let dash {
                return Drawing.line(
                    left, middle, left + 24, middle, "curve c\(color % 8) d\(dash % 8)")
            }
            return .element(
                "rect",
                [
                    "x": Drawing.text(left + 6), "y": Drawing.text(middle - 6),
                    "width": "12", "height": "12", "class": "f\(color % 8)",
                ])
        }
    }

    let entries: [Entry]

    /// One series needs no legend.
    init(_ entries: [Entry]) { self.entries = entries.count > 1 ? entries : [] }

    /// Inside a drawing of a width, in as many rows as they need.
    func drawn(width: Double) -> (parts: [Markup], height: Double) {
        guard !entries.isEmpty else { return ([], 0) }
        var parts: [Markup] = []
        var left = 8.0
        var row = 0.0
        for entry in entries {
            let needed = 30 + Drawing.width(entry.name) + 12
            if left > 8, left + needed > width {
                left = 8
                row += 1
            }
            let middle = 12 + row * 19
            parts.append(entry.sample(left, middle))
            parts.append(Drawing.label(entry.name, left + 30, middle + 4.5))
            left += needed
        }
        return (parts, 19 * (row + 1) + 4)
    }

    /// Above several drawings, flowing like text.
    var markup: Markup {
        .element(
            "p", ["class": "legend"],
            entries.map { entry in
                .element(
                    "span", [:],
                    [
                        .element(
                            "svg",
                            [
                                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 24 12",
                                "aria-hidden": "true",
                            ], [entry.sample(0, 6)]),
                        .text(" " + entry.name),
                    ])
            })
    }
}
