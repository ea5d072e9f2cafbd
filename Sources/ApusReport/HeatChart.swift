import Foundation

/// A table of numbers as colors, with the numbers where they fit.
public struct HeatChart: Hashable, Codable, Sendable {
    public var title: String
    /// What the colors say, with the unit.
    public var label: String
    public var rowLabel: String
    public var columnLabel: String
    public var rows: [String]
    public var columns: [String]
    /// One row a row; nil for cells that do not exist.
    public var values: [[Double?]]
    /// What stands in the cells; nil for the values.
    public var cells: [[String]]?
    public var summary: String

    public init(
        _ title: String, label: String, rows: (label: String, names: [String]),
        columns: (label: String, names: [String]), values: [[Double?]], cells: [[String]]? = nil,
        summary: String = ""
    ) {
        self.title = title
        self.label = label
        rowLabel = rows.label
        self.rows = rows.names
        columnLabel = columns.label
        self.columns = columns.names
        self.values = values
        self.cells = cells
        self.summary = summary
    }

    private var known: [Double] { values.joined().compactMap(\.self).filter(\.isFinite) }

    private var description: String {
        if !summary.isEmpty { return summary }
        return "\(label) by \(rowLabel) and \(columnLabel), from "
            + "\(NumberText.short(known.min() ?? 0)) to \(NumberText.short(known.max() ?? 0))."
    }

    var table: DataTable {
        DataTable(
            ["\(rowLabel) \\ \(columnLabel)"] + columns,
            rows.indices.map { row in
                [rows[row]] + values[row].indices.map { words(row, $0, digits: 3) }
            })
    }

    private func words(_ row: Int, _ column: Int, digits: Int) -> String {
        if let cells { return cells[row][column] }
        return values[row][column].map { NumberText.short($0, digits: digits) } ?? ""
    }

    var svg: Markup {
        let low = known.min() ?? 0
        let high = known.max() ?? 1
        let left = min(150, 34 + 7 * Double(rows.map(\.count).max() ?? 1))
        let width = 560.0
        func side(_ right: Double) -> Double {
            min(52, (width - left - right) / Double(max(columns.count, 1)))
        }
        let slants = columns.contains { Drawing.width($0) > side(8) - 4 }
        // Slanted names lean over the right border.
        let side = side(slants ? 48 : 8)
        let tall = min(side, 34)
        let top = 26 + (slants ? min(90, 7 * Double(columns.map(\.count).max() ?? 1)) : 16)
        let bottom = top + tall * Double(rows.count)
        var parts: [Markup] = [
            Drawing.label(
                columnLabel, left + side * Double(columns.count) / 2, 14, anchor: "middle")
        ]
        parts.append(
            .element(
                "text",
                [
                    "transform": "translate(14 \(Drawing.text((top + bottom) / 2))) rotate(-90)",
                    "text-anchor": "middle", "class": "label",
                ], text: rowLabel))
        for (index, name) in columns.enumerated() {
            let x = left + side * (Double(index) + 0.5)
            parts.append(
                slants
                    ? .element(
                        "text",
                        [
                            "transform":
                                "translate(\(Drawing.text(x + 4)) \(Drawing.text(top - 6)))"
                                + " rotate(-60)", "class": "tick",
                        ], text: name)
                    : Drawing.label(name, x, top - 6, anchor: "middle", style: "tick"))
        }
        for (rowIndex, row) in values.enumerated() {
            let y = top + tall * Double(rowIndex)
            let name = rowIndex < rows.count ? rows[rowIndex] : ""
            parts.append(
                Drawing.label(name, left - 6, y + tall / 2 + 4, anchor: "end", style: "tick"))
            for (index, value) in row.enumerated() {
                guard let value, value.isFinite else { continue }
                let share = high > low ? (value - low) / (high - low) : 0.5
                let x = left + side * Double(index)
                parts.append(rectangle(x, y, side - 1, tall - 1, share))
                let words = words(rowIndex, index, digits: 2)
                if side >= 30, tall >= 20, Drawing.width(words) < side + 6 {
                    parts.append(
                        Drawing.label(
                            words, x + side / 2, y + tall / 2 + 4, anchor: "middle",
                            style: share > 0.55 ? "cell dark" : "cell bright"))
                }
            }
        }
        for step in 0..<40 {
            parts.append(
                rectangle(left + 5 * Double(step), bottom + 12, 5.2, 10, Double(step) / 39))
        }
        parts.append(Drawing.label(NumberText.short(low), left, bottom + 36, style: "tick"))
        parts.append(
            Drawing.label(
                NumberText.short(high), left + 200, bottom + 36, anchor: "end", style: "tick")
        )
        parts.append(Drawing.label(label, left + 210, bottom + 22))
        return Drawing.svg(
            width: width, height: bottom + 44, title: title, description: description, parts)
    }

    private func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ share: Double
    ) -> Markup {
        .element(
            "rect",
            [
                "x": Drawing.text(x), "y": Drawing.text(y), "width": Drawing.text(width),
                "height": Drawing.text(height), "fill": HeatChart.color(share),
            ])
    }

    /// Dark blue over gray to yellow: rising in brightness for every kind of sight (after Nunez,
    /// Anderton and Renslow 2018).
    static func color(_ share: Double) -> String {
        let stops: [(Double, Double, Double)] = [
            (0, 34, 78), (65, 77, 107), (125, 124, 120), (188, 174, 108), (254, 232, 56),
        ]
        let place = min(max(share, 0), 1) * Double(stops.count - 1)
        let index = min(Int(place), stops.count - 2)
        let part = place - Double(index)
        func mix(_ a: Double, _ b: Double) -> Int { Int((a + (b - a) * part).rounded()) }
        let (a, b) = (stops[index], stops[index + 1])
        return "rgb(\(mix(a.0, b.0)),\(mix(a.1, b.1)),\(mix(a.2, b.2)))"
    }
}
