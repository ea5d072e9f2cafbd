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
