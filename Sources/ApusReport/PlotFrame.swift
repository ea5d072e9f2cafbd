/// The rectangle in which a chart draws, with its axes.
struct PlotFrame {
    let x: AxisScale
    let y: AxisScale
    let left: Double
    let top: Double
    let width: Double
    let height: Double

    func left(_ value: Double) -> Double { left + width * x.place(value) }
    func top(_ value: Double) -> Double { top + height * (1 - y.place(value)) }

    /// Grid, ticks and labels of both axes.
    func axes(_ xLabel: String, _ yLabel: String) -> [Markup] {
        var parts = vertical(yLabel)
        for tick in x.ticks {
            let place = left(tick)
            parts.append(Drawing.line(place, top + height, place, top + height + 4, "axis"))
            parts.append(
                Drawing.label(
                    x.text(tick), place, top + height + 18, anchor: "middle",
                    style: "tick"))
        }
        parts.append(Drawing.line(left, top + height, left + width, top + height, "axis"))
        parts.append(
            Drawing.label(xLabel, left + width / 2, top + height + 38, anchor: "middle"))
        return parts
    }

    /// The vertical axis alone: bars have words below them.
    func vertical(_ label: String) -> [Markup] {
        var parts: [Markup] = []
        for tick in y.ticks {
            let place = top(tick)
            parts.append(Drawing.line(left, place, left + width, place, "grid"))
            parts.append(
                Drawing.label(
                    y.text(tick), left - 6, place + 4, anchor: "end", style: "tick"))
        }
        let middle = top + height / 2
        parts.append(
            .element(
                "text",
                [
                    "transform": "translate(14 \(Drawing.text(middle))) rotate(-90)",
                    "text-anchor": "middle", "class": "label",
                ], text: label))
        return parts
    }
}

/// Names of series with their line or color, in as many rows as they need.
struct Legend {
    let parts: [Markup]
    let height: Double

    init(_ entries: [(name: String, color: Int, dash: Int?)], width: Double) {
        guard entries.count > 1 else {
            parts = []
            height = 0
            return
        }
        var parts: [Markup] = []
        var left = 8.0
        var row = 0.0
        for (name, color, dash) in entries {
            let needed = 30 + Drawing.width(name) + 12
            if left > 8, left + needed > width {
                left = 8
                row += 1
            }
            let middle = 12 + row * 19
            if let dash {
                parts.append(
                    Drawing.line(
                        left, middle, left + 24, middle, "curve c\(color % 8) d\(dash % 8)"))
            } else {
                parts.append(
                    .element(
                        "rect",
                        [
                            "x": Drawing.text(left + 6), "y": Drawing.text(middle - 6),
                            "width": "12", "height": "12", "class": "f\(color % 8)",
                        ]))
            }
            parts.append(Drawing.label(name, left + 30, middle + 4.5))
            left += needed
        }
        self.parts = parts
        height = 19 * (row + 1) + 4
    }
}
