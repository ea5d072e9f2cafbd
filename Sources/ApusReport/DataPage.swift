import ApusData
import Foundation

/// What `DataCheck` found, as one HTML page with pictures that needs no other file.
public struct DataPage: Sendable {
    private let name: String
    private let findings: DataFindings
    private let splits: [(split: Split, source: any ImageSource)]

    /// The most pictures of one problem, and groups of duplicates, that a page shows.
    private static let most = 60
    /// The most pictures of one group of duplicates.
    private static let mostOfGroup = 8
    private static let thumbnailSide = 128

    /// - Parameters:
    ///   - name: what the page calls the data set
    ///   - splits: what was checked; images are read again to be shown
    public init(
        _ findings: DataFindings, of splits: [(split: Split, source: any ImageSource)],
        name: String
    ) {
        self.findings = findings
        self.splits = splits
        self.name = name
    }

    public func html() -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(escaped(name))</title>
        <style>\(Self.style)</style>
        </head>
        <body>
        <h1>\(escaped(name))</h1>
        \(summary())
        \(classes())
        \(problems())
        \(duplicates())
        </body>
        </html>

        """
    }

    // MARK: Sections

    private func summary() -> String {
        var rows = [
            ("images", "\(findings.images)"),
            ("readable", "\(findings.readable)"),
            ("size", String(format: "%.1f MiB", Double(findings.bytes) / 1_048_576)),
        ]
        if let short = findings.shortSides, let long = findings.longSides {
            rows.append(("short side", Self.text(short)))
            rows.append(("long side", Self.text(long)))
            rows.append(("mean", Self.text(findings.mean)))
            rows.append(("deviation", Self.text(findings.deviation)))
        }
        for problem in ImageProblem.allCases {
            let count = findings.problems.count { $0.problem == problem }
            if count > 0 { rows.append((problem.rawValue, "\(count)")) }
        }
        let exact = findings.duplicates.count(where: \.isExact)
        if exact > 0 { rows.append(("groups of equal files", "\(exact)")) }
        if findings.duplicates.count > exact {
            rows.append(("groups that look alike", "\(findings.duplicates.count - exact)"))
        }
        if !findings.otherFiles.isEmpty {
            rows.append(("other files", "\(findings.otherFiles.count)"))
        }
        return "<table>"
            + rows.map { "<tr><th>\(escaped($0))</th><td>\(escaped($1))</td></tr>" }.joined()
            + "</table>"
    }

    private func classes() -> String {
        guard !findings.classes.isEmpty else { return "" }
        let most = max(1, findings.classes.map { max($0.train, $0.test) }.max() ?? 1)
        func bar(_ count: Int, _ kind: String) -> String {
            let width = String(format: "%.1f", 100 * Double(count) / Double(most))
            return "<div class=\"bar \(kind)\" style=\"width:\(width)%\"></div>"
        }
        let hasTest = findings.classes.contains { $0.test > 0 }
        let rows = findings.classes.map { row in
            "<tr><th>\(escaped(row.name))</th><td>\(row.train)</td>"
                + (hasTest ? "<td>\(row.test)</td>" : "")
                + "<td class=\"bars\">\(bar(row.train, "train"))"
                + (hasTest ? bar(row.test, "test") : "") + "</td></tr>"
        }
        return "<h2>Classes</h2><table class=\"classes\"><tr><th></th><td>train</td>"
            + (hasTest ? "<td>test</td>" : "") + "<td></td></tr>" + rows.joined() + "</table>"
    }

    private func problems() -> String {
        ImageProblem.allCases.map { problem in
            let all = findings.problems.filter { $0.problem == problem }
            guard !all.isEmpty else { return "" }
            let figures = all.prefix(Self.most).map { figure($0.image, $0.detail) }
            return "<h2>\(escaped(Self.capitalized(problem.rawValue))) (\(all.count))</h2>"
                + "<div class=\"figures\">\(figures.joined())</div>"
                + more(all.count - figures.count, "images")
        }.joined()
    }

    private func duplicates() -> String {
        [(true, "Equal files"), (false, "Alike")].map { isExact, title in
            // What spoils results comes first.
            let all = findings.duplicates.filter { $0.isExact == isExact }
                .enumerated().sorted { (Self.rank($0.1), $0.0) < (Self.rank($1.1), $1.0) }
                .map(\.1)
            guard !all.isEmpty else { return "" }
            let groups = all.prefix(Self.most).map { group in
                let marks =
                    (group.isAcrossSplits ? ["in train and test"] : [])
                    + (group.isAcrossClasses ? ["in different classes"] : [])
                let figures = group.images.prefix(Self.mostOfGroup).map { image in
                    figure(
                        image,
                        [image.split.rawValue, image.label].compactMap(\.self)
                            .joined(separator: ", "))
                }
                return "<section>" + marks.map { "<span class=\"mark\">\($0)</span>" }.joined()
                    + "<div class=\"figures\">\(figures.joined())</div>"
                    + more(group.images.count - figures.count, "images") + "</section>"
            }
            return "<h2>\(title) (\(all.count) groups)</h2>" + groups.joined()
                + more(all.count - groups.count, "groups")
        }.joined()
    }

    private static func rank(_ group: DuplicateGroup) -> Int {
        group.isAcrossSplits ? 0 : group.isAcrossClasses ? 1 : 2
    }

    private func more(_ count: Int, _ what: String) -> String {
        count > 0 ? "<p>and \(count) more \(what); --json lists them all</p>" : ""
    }

    // MARK: Pictures

    private func figure(_ image: CheckedImage, _ caption: String) -> String {
        "<figure>\(picture(image))<figcaption><b>\(escaped(image.name))</b><br>"
            + "\(escaped(caption))</figcaption></figure>"
    }

    private func picture(_ checked: CheckedImage) -> String {
        guard let source = splits.first(where: { $0.split == checked.split })?.source,
            let image = try? source.image(at: checked.index),
            let data = try? Self.thumbnail(image)
        else { return "<div class=\"none\">no picture</div>" }
        return "<img alt=\"\" src=\"data:image/png;base64,\(data.base64EncodedString())\">"
    }

    private static func thumbnail(_ image: Image) throws -> Data {
        let isLarge = max(image.width, image.height) > thumbnailSide
        return Data(
            try ImageEncoder.encodePNG(
                isLarge ? image.scaled(toLongSide: thumbnailSide) : image))
    }

    // MARK: Text

    private static func text(_ spread: DataFindings.Spread) -> String {
        "\(spread.least) to \(spread.largest) pixels, median \(spread.median)"
    }

    private static func text(_ values: [Float]) -> String {
        values.map { String(format: "%.4f", $0) }.joined(separator: ", ")
    }

    private static func capitalized(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst()
    }

    private func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    private static let style = """
        body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1100px;
          padding: 0 1em; color: #222; background: #fff; }
        h1 { font-size: 1.5em; overflow-wrap: anywhere; }
        h2 { font-size: 1.15em; margin: 1.8em 0 .6em; }
        table { border-collapse: collapse; }
        th { text-align: left; font-weight: normal; color: #666; padding: .15em 1.2em .15em 0; }
        td { padding: .15em 1.2em .15em 0; font-variant-numeric: tabular-nums; }
        .classes { width: 100%; }
        .classes td:not(.bars) { text-align: right; color: #444; }
        .bars { width: 60%; }
        .bar { height: 7px; margin: 1px 0; min-width: 1px; }
        .train { background: #3b76c0; }
        .test { background: #e0a030; }
        .figures { display: flex; flex-wrap: wrap; gap: 14px; }
        figure { width: 150px; margin: 0; }
        figure img { max-width: 128px; max-height: 128px; min-height: 32px; display: block;
          object-fit: contain; border: 1px solid #ddd; }
        .none { width: 128px; height: 72px; border: 1px dashed #bbb; color: #999; display: flex;
          align-items: center; justify-content: center; }
        figcaption { font-size: 12px; overflow-wrap: anywhere; margin-top: 4px; color: #555; }
        figcaption b { font-weight: 600; color: #222; }
        section { border-top: 1px solid #eee; padding: .8em 0; }
        .mark { display: inline-block; background: #c0392b; color: #fff; font-size: 12px;
          border-radius: 3px; padding: 1px 7px; margin: 0 6px 6px 0; }
        @media (prefers-color-scheme: dark) {
          body { background: #1b1b1d; color: #ddd; }
          figcaption b { color: #eee; }
          figcaption, th { color: #aaa; }
          .classes td:not(.bars) { color: #ccc; }
          figure img { border-color: #444; }
          section { border-color: #333; }
        }
        """
}
