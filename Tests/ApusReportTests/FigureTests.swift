import ApusData
import ApusGraph
import ApusReport
import Foundation
import FoundationXML
import Testing

@Suite("Figures")
struct FigureTests {
    private let chart = LineChart(
        "Error & <loss>", x: Axis("steps"), y: .percent("error"),
        series: [
            LineChart.Series(
                "plain \"quoted\"",
                [.init(0, 50, low: -20, high: 120), .init(1, 40, low: 38, high: 41)]),
            LineChart.Series("not finite", [.init(0, .nan), .init(1, .infinity), .init(2, 3)]),
        ])

    private func isWellFormed(_ markup: Markup) -> Bool {
        XMLParser(data: Data(markup.rendered.utf8)).parse()
    }

    @Test("Every kind of figure is well formed and says what it shows")
    func kinds() throws {
        let network = Network("n", input: [1, 8, 8]) {
            Residual("a") { Convolution("c", 1, kernel: 3) }
            Flatten()
            Dense("d", 2)
        }
        let picture = Image(width: 2, height: 1, channels: 1, pixels: [0, 255])
        let figures: [Figure] = [
            .lines(chart), .multiples(title: "Two", charts: [chart, chart]),
            .bars(
                BarChart(
                    "Bars", y: Axis("MiB"), groups: ["a very long name of a group", "b"],
                    series: [.init("one", [.init(-3, low: -4, high: -2), .init(5)])])),
            .heat(
                HeatChart(
                    "Heat", label: "amount", rows: ("row", ["a", "b"]),
                    columns: ("column", ["c", "d"]), values: [[1, nil], [.nan, 2]])),
            .images(ImageSheet("Pictures", [try .init(picture, "half & half")])),
            .networks(NetworkStrips("Networks", [network])),
            .bars(
                BarChart(
                    "Dots", y: Axis("accuracy"), groups: ["a", "b"],
                    series: [.init("one", [.init(88, low: 87.5, high: 88.5), .init(89)])],
                    showsDots: true)),
        ]
        for figure in figures {
            let text = figure.markup.rendered
            #expect(isWellFormed(figure.markup), "\(text)")
            #expect(text.contains("<figcaption>"))
            // Nothing may be drawn nowhere.
            #expect(!text.contains("\"nan\"") && !text.contains("inf\""), "\(text)")
            let stored = try JSONEncoder.lenient.encode(figure)
            let read = try JSONDecoder.lenient.decode(Figure.self, from: stored)
            #expect(read.markup.rendered == text, "drawn from what is stored")
        }
        let lines = figures[0].markup.rendered
        #expect(lines.contains("role=\"img\"") && lines.contains("<desc>"))
        #expect(lines.contains("Error &amp; &lt;loss&gt;") && lines.contains("&quot;quoted&quot;"))
        #expect(
            lines.contains("<table>") && lines.contains("-20 to 120"), "the table hides nothing")
        #expect(figures[4].markup.rendered.contains("alt=\"half &amp; half\""))
        #expect(figures[5].markup.rendered.contains("1 shortcuts"))
        let (bars, dots) = (figures[2].markup.rendered, figures[6].markup.rendered)
        #expect(!bars.contains("<circle") && bars.contains(">0</text>"))
        #expect(dots.contains("<circle") && !dots.contains(">0</text>"), "no axis from zero")
    }

    @Test("Names of many series take no room from the curves")
    func manySeries() throws {
        func chart(_ count: Int) -> LineChart {
            LineChart(
                "", x: Axis("steps"), y: Axis("loss"),
                series: (0..<count).map { index in
                    .init("a series with a long name, \(index)", [.init(0, 1), .init(1, 2)])
                })
        }
        func numbers(_ attribute: String, _ text: String) throws -> [Double] {
            try text.matches(
                of: Regex("\(attribute)=\"([-0-9.]+)", as: (Substring, Substring).self)
            )
            .compactMap { Double($0.output.1) }
        }
        func spread(_ text: String) throws -> Double {
            let places = try numbers("cy", text)
            return try #require(places.max()) - (try #require(places.min()))
        }
        let few = Figure.lines(chart(2)).markup.rendered
        let many = Figure.lines(chart(20)).markup.rendered
        #expect(try abs(spread(few) - spread(many)) < 0.2)
        let panels = Figure.multiples(title: "", charts: [chart(12), chart(12)]).markup.rendered
        #expect(try spread(panels) > 100)
        // Once above both, in two descriptions and in the table.
        let drawing = panels.replacing(/<(desc|table)>[\s\S]*?<\/(desc|table)>/, with: "")
        #expect(drawing.ranges(of: "long name, 11").count == 1)
        let mixed = Figure.multiples(title: "", charts: [chart(12), chart(3)]).markup.rendered
        #expect(mixed.contains("class=\"label\">a series with a long name, 2<"))
    }

    @Test("A logarithmic axis of less than three powers of ten has marks between them")
    func shortLogarithmicAxis() {
        func drawn(_ places: [Double]) -> String {
            Figure.lines(
                LineChart(
                    "", x: Axis("x", isLogarithmic: true), y: Axis("y"),
                    series: [.init("", places.map { .init($0, 0.5) })])
            ).markup.rendered.replacing(/<(desc|table)>[\s\S]*?<\/(desc|table)>/, with: "")
        }
        let short = drawn([92.4, 185, 739])
        for mark in [100, 200, 500] { #expect(short.contains(">\(mark)<")) }
        #expect(!short.contains(">50<") && !short.contains(">1000<"))
        let long = drawn([1, 1000, 1e6])
        #expect(long.contains(">10<") && !long.contains(">20<") && !long.contains(">2<"))
    }

    @Test("Nothing to show is no reason to fail")
    func empty() {
        let figures: [Figure] = [
            .lines(LineChart("", x: Axis("x"), y: Axis("y", isLogarithmic: true), series: [])),
            .bars(BarChart("", y: Axis("y"), groups: [], series: [])),
            .heat(HeatChart("", label: "", rows: ("", []), columns: ("", []), values: [])),
            .images(ImageSheet("", [])), .networks(NetworkStrips("", [])),
            .multiples(title: "", charts: []),
            .lines(
                LineChart(
                    "", x: Axis("x"), y: Axis("y", isLogarithmic: true),
                    series: [.init("", [.init(1, 0), .init(2, -1), .init(3, 1e-300)])])),
        ]
        for figure in figures { #expect(isWellFormed(figure.markup)) }
    }

    @Test(
        "Numbers are short",
        arguments: [
            (0, "0"), (0.1, "0.1"), (12.345, "12.3"), (1234.5, "1234"), (999_999.9, "1000000"),
            (1e6, "1e6"), (-0.00001234, "-1.23e-5"), (.nan, "-"), (.infinity, "∞"), (100, "100"),
        ] as [(Double, String)])
    func numbers(value: Double, expected: String) {
        #expect(NumberText.short(value) == expected)
    }

    @Test("A page is one file without the network")
    func page() {
        let html = Page("A page", [Figure.lines(chart).markup]).html
        #expect(html.hasPrefix("<!DOCTYPE html>"))
        #expect(html.contains("prefers-color-scheme:dark") && html.contains("lang=\"en\""))
        #expect(!html.contains("https://"))
        let addresses = html.matches(of: /http:[^"]*/).map { String($0.0) }
        #expect(addresses.allSatisfy { $0 == "http://www.w3.org/2000/svg" })
    }

    @Test("Planes of numbers become gray")
    func gray() {
        #expect(Image.gray([-1, 0, 1], width: 3, height: 1).pixels == [0, 127, 255])
        #expect(
            Image.gray([0, 0.5], width: 2, height: 1, symmetric: true).pixels == [127, 255])
        #expect(Image.gray([2, 2], width: 2, height: 1).pixels == [0, 0])
    }
}

extension JSONEncoder {
    fileprivate static var lenient: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }
}

extension JSONDecoder {
    fileprivate static var lenient: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }
}
