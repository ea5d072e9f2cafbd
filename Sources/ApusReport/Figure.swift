/// Something to look at on a page, as a value: it is stored with results and drawn when a page is made.
public enum Figure: Hashable, Codable, Sendable {
    case lines(LineChart)
    case bars(BarChart)
    case heat(HeatChart)
    case images(ImageSheet)
    case networks(NetworkStrips)
    /// Several charts side by side.
    case multiples(title: String, charts: [LineChart])

    /// The figure with its caption and, for charts, a table of what it shows.
    public var markup: Markup {
        switch self {
        case .lines(let chart):
            Figure.frame(chart.title, [chart.svg(size: .wide)], chart.table)
        case .bars(let chart):
            Figure.frame(chart.title, [chart.svg], chart.table)
        case .heat(let map):
            Figure.frame(map.title, [map.svg], map.table)
        case .images(let sheet):
            Figure.frame(sheet.title, [sheet.markup], nil, isWide: true)
        case .networks(let strips):
            Figure.frame(strips.title, strips.markup, nil, isWide: true)
        case .multiples(let title, let charts):
            Figure.frame(
                title, Figure.panels(charts),
                charts.map(\.table).reduce(nil) { all, table in
                    all.map { $0.appending(table) } ?? table
                }, isWide: true)
        }
    }

    /// Figures in two columns where there is room for them.
    public static func grid(_ figures: [Figure]) -> Markup {
        .element("div", ["class": "figures"], figures.map(\.markup))
    }

    /// Charts of the same series have their names once, above all of them.
    private static func panels(_ charts: [LineChart]) -> [Markup] {
        let legends = Set(charts.map(\.legend))
        let panels = charts.map { chart in
            Markup.element(
                "div", [:],
                [
                    .element("p", ["class": "panel"], text: chart.title),
                    chart.svg(size: .panel, hasLegend: legends.count > 1),
                ])
        }
        let common = legends.count > 1 ? [] : legends.filter { !$0.entries.isEmpty }
        return common.map(\.markup) + [.element("div", ["class": "multiples"], panels)]
    }

    private static func frame(
        _ title: String, _ body: [Markup], _ table: DataTable?, isWide: Bool = false
    ) -> Markup {
        var parts: [Markup] = [.element("figcaption", text: title)] + body
        if let table {
            parts.append(
                .element(
                    "details", [:],
                    [.element("summary", text: "The numbers"), table.markup]))
        }
        return .element("figure", ["class": isWide ? "wide" : "single"], parts)
    }
}

/// Text and numbers in rows.
public struct DataTable: Hashable, Codable, Sendable {
    public var columns: [String]
    public var rows: [[String]]

    public init(_ columns: [String], _ rows: [[String]] = []) {
        self.columns = columns
        self.rows = rows
    }

    /// The rows of both; tables of other columns get their head as a row.
    func appending(_ other: DataTable) -> DataTable {
        DataTable(columns, rows + (other.columns == columns ? [] : [other.columns]) + other.rows)
    }

    public var markup: Markup {
        let head = Markup.element(
            "tr", [:], columns.map { .element("th", ["scope": "col"], text: $0) })
        let body = rows.map { row in
            Markup.element(
                "tr", [:],
                row.enumerated().map { index, cell in
                    index == 0
                        ? .element("th", ["scope": "row"], text: cell)
                        : .element("td", text: cell)
                })
        }
        return .element(
            "div", ["class": "scroll"],
            [
                .element(
                    "table", [:],
                    [.element("thead", [:], [head]), .element("tbody", [:], body)])
            ])
    }
}

/// What is common to drawings: the frame that says what they are to those who cannot see them.
enum Drawing {
    static func svg(
        width: Double, height: Double, title: String, description: String, _ parts: [Markup]
    ) -> Markup {
        .element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": "0 0 \(text(width)) \(text(height))",
                "role": "img", "aria-label": title,
            ],
            [.element("title", text: title), .element("desc", text: description)] + parts)
    }

    /// A coordinate with a tenth of a unit.
    static func text(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
    }

    static func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String
    ) -> Markup {
        .element(
            "line",
            [
                "x1": text(x1), "y1": text(y1), "x2": text(x2), "y2": text(y2), "class": style,
            ])
    }

    static func label(
        _ words: String, _ x: Double, _ y: Double, anchor: String = "start",
        style: String = "label"
    ) -> Markup {
        .element(
            "text", ["x": text(x), "y": text(y), "text-anchor": anchor, "class": style],
            text: words)
    }

    /// About the width of a text of 13 units.
    static func width(_ words: String) -> Double { 7.0 * Double(words.count) }
}
