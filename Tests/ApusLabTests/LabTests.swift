import ApusGraph
import ApusReport
import Foundation
import FoundationXML
import Testing

import ApusLab

@Suite("The lab")
struct LabTests {
    /// Every file of the folder is an experiment, whoever added it.
    static let files: [String] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Sources/ApusLab/Experiments")
        let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
        return (names ?? []).filter { $0.hasSuffix(".swift") }.map { folder.path + "/" + $0 }
    }()

    @Test("One file is one experiment of at most 150 lines with its claim in front")
    func files() throws {
        #expect(!Lab.experiments.isEmpty)
        #expect(LabTests.files.count == Lab.experiments.count)
        #expect(Set(Lab.experiments.map(\.name)).count == Lab.experiments.count)
        for file in LabTests.files {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
            #expect(lines <= 150, "\(file) has \(lines) lines")
            let claim = try #require(text.range(of: "let claim ="))
            let run = try #require(text.range(of: "func run("))
            #expect(claim.lowerBound < run.lowerBound, "\(file)")
        }
    }

    @Test("The usual budgets fit into four hours")
    func budgets() {
        #expect(Lab.experiments.map(\.minutes).reduce(0, +) <= 4 * 60)
        for experiment in Lab.experiments {
            #expect(!experiment.criteria.isEmpty)
            #expect(Set(experiment.criteria.map(\.key)).count == experiment.criteria.count)
        }
    }

    @Test(
        "Every experiment runs at the smallest budget, and its page says what it has to",
        arguments: Lab.experiments.map(\.name))
    func smallest(name: String) throws {
        let folder = try TemporaryFolder()
        let experiment = try Lab.experiment(name)
        let result = try Lab.run(experiment, smallestOptions(folder), data: Corners.data())
        // A seed says nothing of others.
        #expect(result.verdict != .holds)
        #expect(
            Set(result.findings.measured.keys) == Set(experiment.criteria.map(\.key)),
            "measured and judged")
        let page = try String(contentsOfFile: "\(folder.path)/\(name)/index.html", encoding: .utf8)
        for words in [experiment.claim, experiment.title, result.verdict.words, result.command] {
            #expect(page.contains(words.replacing("\"", with: "&quot;")), "\(words)")
        }
        for criterion in experiment.criteria { #expect(page.contains(criterion.quantity)) }
        #expect(page.contains("multiply-adds an image"), "the networks are drawn")
        let document = try PageOutline(page)
        #expect(document.drawings > 0 && document.drawings == document.titles)
        #expect(document.drawings == document.descriptions)
        #expect(document.picturesWithoutText == 0)
        #expect(document.tables > 0)
        #expect(document.links.allSatisfy { !$0.contains("//") }, "no network")

        // A second run looks everything up; a page can be made again without any run.
        let again = try Lab.run(
            experiment, smallestOptions(folder), data: Corners.data(),
            report: { Issue.record("worked again: \($0)") })
        #expect(again.findings == result.findings)
        try FileManager.default.removeItem(atPath: "\(folder.path)/\(name)/index.html")
        let rebuilt = try Lab.rebuild(name, out: folder.path)
        #expect(rebuilt.verdict == result.verdict)
        #expect(
            try String(contentsOfFile: "\(folder.path)/\(name)/index.html", encoding: .utf8)
                .contains(experiment.claim))
        try Lab.writeIndex(out: folder.path)
        let index = try String(contentsOfFile: "\(folder.path)/index.html", encoding: .utf8)
        #expect(index.contains("\(name)/index.html") && index.contains(result.verdict.words))
    }

    /// Gray images are as large as what they show, which no crop could then move.
    @Test("Pairs of changes are learned from gray images drawn on a larger canvas")
    func scattered() throws {
        let folder = try TemporaryFolder()
        let experiment = try Lab.experiment("augmentations")
        let result = try Lab.run(experiment, smallestOptions(folder), data: Corners.data())
        let networks = result.findings.figures.flatMap { figure -> [Network] in
            if case .networks(let strips) = figure { strips.networks } else { [] }
        }
        // Of 12 pixels and a margin of 2; networks see images at half their size.
        #expect(!networks.isEmpty && networks.allSatisfy { $0.input == [1, 8, 8] })
    }

    @Test("Names that are not known are told with those that are")
    func unknown() throws {
        #expect {
            _ = try Lab.experiment("nonsense")
        } throws: {
            "\($0)".contains("nonsense") && "\($0)".contains("degradation")
        }
        #expect(throws: LabError.self) { try Lab.rebuild("degradation", out: "/nowhere") }
    }
}

/// What is in a page, by a strict reader: it throws unless everything is well formed.
final class PageOutline: NSObject, XMLParserDelegate {
    private(set) var drawings = 0
    private(set) var titles = 0
    private(set) var descriptions = 0
    private(set) var tables = 0
    private(set) var picturesWithoutText = 0
    private(set) var links: [String] = []
    private var path: [String] = []

    struct NotWellFormed: Error { let reason: String }

    init(_ text: String) throws {
        super.init()
        let parser = XMLParser(data: Data(text.replacing("<!DOCTYPE html>", with: "").utf8))
        parser.delegate = self
        guard parser.parse() else {
            throw NotWellFormed(
                reason:
                    "line \(parser.lineNumber): \(parser.parserError?.localizedDescription ?? "")"
            )
        }
    }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
        qualifiedName: String?, attributes: [String: String]
    ) {
        switch name {
        case "svg": if attributes["role"] == "img" { drawings += 1 }
        case "title": if path.last == "svg" { titles += 1 }
        case "desc": descriptions += 1
        case "table": tables += 1
        case "img":
            if attributes["alt"]?.isEmpty ?? true { picturesWithoutText += 1 }
            if attributes["src"]?.hasPrefix("data:") != true {
                links.append(attributes["src"] ?? "//")
            }
        case "a", "link": links.append(attributes["href"] ?? "//")
        default: break
        }
        path.append(name)
    }

    func parser(
        _ parser: XMLParser, didEndElement name: String, namespaceURI: String?,
        qualifiedName: String?
    ) { path.removeLast() }
}
