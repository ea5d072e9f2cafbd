/// Amounts side by side, with whiskers of uncertainty where they have one.
public struct BarChart: Hashable, Codable, Sendable {
    public struct Bar: Hashable, Codable, Sendable {
        public var value: Double
        public var low: Double?
        public var high: Double?

        public init(_ value: Double, low: Double? = nil, high: Double? = nil) {
            self.value = value
            self.low = low
            self.high = high
        }
    }

    public struct Series: Hashable, Codable, Sendable {
        public var name: String
        /// One a group.
        public var bars: [Bar]

        public init(_ name: String, _ bars: [Bar]) {
            self.name = name
            self.bars = bars
        }
    }

    public var title: String
    public var y: Axis
    public var groups: [String]
    public var series: [Series]
    public var summary: String
    /// Whether dots stand for the bars: amounts that differ little need an axis that does not begin at
    /// zero, which lengths would lie on.
    public var showsDots: Bool?

    public init(
        _ title: String, y: Axis, groups: [String], series: [Series], summary: String = "",
        showsDots: Bool = false
    ) {
        self.title = title
        self.y = y
        self.groups = groups
        self.series = series
        self.summary = summary
        self.showsDots = showsDots ? true : nil
    }

    private var description: String {
        if !summary.isEmpty { return summary }
        return "\(y.label). "
            + series.map { series in
                "\(series.name): "
                    + zip(groups, series.bars).map { "\($0) \(NumberText.short($1.value))" }
                    .joined(separator: ", ") + "."
            }.joined(separator: " ")
    }

    var table: DataTable {
        DataTable(
            ["", "series", y.label, "interval"],
            groups.enumerated().flatMap { index, group in
                series.filter { index < $0.bars.count }.map { series in
                    let bar = series.bars[index]
                    var interval = ""
                    if let low = bar.low, let high = bar.high {
                        interval = "\(NumberText.short(low)) to \(NumberText.short(high))"
                    }
                    return [group, series.name, NumberText.short(bar.value, digits: 4), interval]
                }
            })
    }

    var svg: Markup {
        let width = 560.0
        let names = Legend(series.enumerated().map { Legend.Entry(name: $1.name, color: $0) })
            .drawn(width: width)
        let room = 307.0
        let values = series.flatMap {
            $0.bars.flatMap { [$0.value, y.clamped($0.low), y.clamped($0.high)] }
        }.compactMap(\.self)
        var axis = y
        let isDotted = showsDots ?? false
        axis.includesZero = axis.includesZero || !isDotted
        // Long names of many groups stand at a slant.
        let slot = (width - 64 - 18) / Double(max(groups.count, 1))
        let slants = groups.contains { Drawing.width($0) > slot }
        let longest = groups.map { Drawing.width($0) }.max() ?? 0
        let foot = slants ? min(110, 24 + longest * 0.55) : 28
        let plot = PlotFrame(
            x: AxisScale(Axis(""), [0, 1]), y: AxisScale(axis, values), left: 64,
            top: names.height + 12, width: width - 64 - 18, height: room - 16 - foot)
        var parts = plot.vertical(y.label) + names.parts
        let base = plot.y.isLogarithmic || isDotted ? plot.y.low : 0
        let bar = slot * 0.8 / Double(max(series.count, 1))
        for (index, group) in groups.enumerated() {
            let left = plot.left + slot * (Double(index) + 0.1)
            for (place, series) in series.enumerated() where index < series.bars.count {
                let value = series.bars[index]
                guard AxisScale.isShown(value.value, y) else { continue }
                let ends = [plot.top(value.value), plot.top(base)].sorted()
                let x = left + bar * Double(place)
                let shape: KeyValuePairs =
                    isDotted
                    ? [
                        "cx": Drawing.text(x + bar / 2), "cy": Drawing.text(ends[0]), "r": "4.5",
                        "class": "f\(place % 8)",
                    ]
                    : [
                        "x": Drawing.text(x + 1), "y": Drawing.text(ends[0]),
                        "width": Drawing.text(max(bar - 2, 1)),
                        "height": Drawing.text(max(ends[1] - ends[0], 0.5)),
                        "class": "f\(place % 8)",
                    ]
                parts.append(.element(isDotted ? "circle" : "rect", shape))
                if let low = y.clamped(value.low), let high = y.clamped(value.high), high > low {
                    let middle = x + bar / 2
                    parts.append(
                        Drawing.line(
                            middle, plot.top(max(low, plot.y.low)), middle, plot.top(high),
                            "whisker"))
                }
            }
            let middle = plot.left + slot * (Double(index) + 0.5)
            let below = plot.top + plot.height + 16
            parts.append(
                slants
                    ? .element(
                        "text",
                        [
                            "transform":
                                "translate(\(Drawing.text(middle + 4)) \(Drawing.text(below - 4)))"
                                + " rotate(-35)",
                            "text-anchor": "end", "class": "tick",
                        ], text: group)
                    : Drawing.label(group, middle, below, anchor: "middle", style: "tick"))
        }
        parts.append(
            Drawing.line(
                plot.left, plot.top(base), plot.left + plot.width, plot.top(base), "axis"))
        return Drawing.svg(
            width: width, height: room + names.height, title: title, description: description, parts
        )
    }
}
