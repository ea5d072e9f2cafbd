/// Curves over a common axis, with bands of uncertainty where they have one.
public struct LineChart: Hashable, Codable, Sendable {
    public struct Point: Hashable, Codable, Sendable {
        public var x: Double
        public var y: Double
        /// The ends of the interval; nil where there is none.
        public var low: Double?
        public var high: Double?

        public init(_ x: Double, _ y: Double, low: Double? = nil, high: Double? = nil) {
            self.x = x
            self.y = y
            self.low = low
            self.high = high
        }
    }

    public struct Series: Hashable, Codable, Sendable {
        public var name: String
        public var points: [Point]
        /// The color and the dashes, 0...7; by default the place among the series.
        public var color: Int?
        public var dash: Int?

        public init(_ name: String, _ points: [Point], color: Int? = nil, dash: Int? = nil) {
            self.name = name
            self.points = points
            self.color = color
            self.dash = dash
        }
    }

    public var title: String
    public var x: Axis
    public var y: Axis
    public var series: [Series]
    /// What there is to see, for those who cannot.
    public var summary: String

    public init(
        _ title: String, x: Axis, y: Axis, series: [Series], summary: String = ""
    ) {
        self.title = title
        self.x = x
        self.y = y
        self.series = series
        self.summary = summary
    }

    enum Size {
        case wide, panel
        /// Without the names of series.
        var extent: (width: Double, height: Double) {
            self == .wide ? (560, 307) : (360, 220)
        }
    }

    /// The text alternative: the summary, or where every curve begins and ends.
    var description: String {
        if !summary.isEmpty { return summary }
        return "\(y.label) over \(x.label). "
            + series.compactMap { series in
                guard let first = series.points.first, let last = series.points.last else {
                    return nil
                }
                return "\(series.name): from \(NumberText.short(first.y)) to "
                    + "\(NumberText.short(last.y))."
            }.joined(separator: " ")
    }

    var table: DataTable {
        DataTable(
            ["series", x.label, y.label, "interval"],
            series.flatMap { series in
                series.points.map { point in
                    var interval = ""
                    if let low = point.low, let high = point.high {
                        interval = "\(NumberText.short(low)) to \(NumberText.short(high))"
                    }
                    return [
                        series.name, NumberText.short(point.x, digits: 4),
                        NumberText.short(point.y, digits: 4), interval,
                    ]
                }
            })
    }

    var legend: Legend {
        Legend(
            series.enumerated().map {
                Legend.Entry(name: $1.name, color: $1.color ?? $0, dash: $1.dash ?? $0)
            })
    }

    /// - Parameter hasLegend: whether the names are in the drawing, which grows by their rows
    func svg(size: Size, hasLegend: Bool = true) -> Markup {
        let width = size.extent.width
        let series = series.map { series in
            var series = series
            for index in series.points.indices {
                series.points[index].low = y.clamped(series.points[index].low)
                series.points[index].high = y.clamped(series.points[index].high)
            }
            return series
        }
        let names = hasLegend ? legend.drawn(width: width) : (parts: [], height: 0)
        let height = size.extent.height + names.height
        let places = series.flatMap { $0.points.map(\.x) }
        let plot = PlotFrame(
            x: AxisScale(x, places, ticks: size == .wide ? 7 : 5).tight(places),
            y: AxisScale(
                y,
                series.flatMap { $0.points.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] } },
                ticks: size == .wide ? 6 : 5),
            left: 64, top: names.height + 12, width: width - 64 - 18,
            height: size.extent.height - 62)
        var parts = plot.axes(x.label, y.label) + names.parts
        for (index, series) in series.enumerated() {
            let points = series.points.filter {
                AxisScale.isShown($0.x, x) && AxisScale.isShown($0.y, y)
            }
            let color = (series.color ?? index) % 8
            let dash = (series.dash ?? index) % 8
            parts += band(points, plot, color)
            let path = points.enumerated().map { position, point in
                "\(position == 0 ? "M" : "L")\(Drawing.text(plot.left(point.x))) "
                    + Drawing.text(plot.top(point.y))
            }.joined()
            if points.count > 1 {
                parts.append(.element("path", ["d": path, "class": "curve c\(color) d\(dash)"]))
            }
            if points.count <= 20 {
                parts += points.map { point in
                    .element(
                        "circle",
                        [
                            "cx": Drawing.text(plot.left(point.x)),
                            "cy": Drawing.text(plot.top(point.y)), "r": "3",
                            "class": "dot f\(color)",
                        ])
                }
            }
        }
        return Drawing.svg(
            width: width, height: height, title: title, description: description, parts)
    }

    private func band(_ points: [Point], _ plot: PlotFrame, _ color: Int) -> [Markup] {
        let known = points.compactMap { point -> (x: Double, low: Double, high: Double)? in
            guard let low = point.low, let high = point.high, high > low, high.isFinite else {
                return nil
            }
            // Intervals may reach below what a logarithmic axis can show.
            return (point.x, y.isLogarithmic ? max(low, plot.y.low) : low, high)
        }
        guard known.count > 1 else {
            return known.map { point in
                Drawing.line(
                    plot.left(point.x), plot.top(point.low), plot.left(point.x),
                    plot.top(point.high), "whisker")
            }
        }
        let upper = known.map {
            "\(Drawing.text(plot.left($0.x))) \(Drawing.text(plot.top($0.high)))"
        }
        let lower = known.reversed().map {
            "\(Drawing.text(plot.left($0.x))) \(Drawing.text(plot.top($0.low)))"
        }
        return [
            .element(
                "path",
                [
                    "d": "M" + (upper + lower).joined(separator: "L") + "Z",
                    "class": "band f\(color)",
                ])
        ]
    }
}
