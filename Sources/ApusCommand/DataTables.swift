import Apus
import Foundation

/// What `DataCheck` found, as text.
struct DataTables {
    private let findings: DataFindings
    private let most: Int

    /// - Parameter most: lines about one thing
    init(_ findings: DataFindings, most: Int) {
        self.findings = findings
        self.most = most
    }

    func print() {
        summary()
        classes()
        for problem in ImageProblem.allCases {
            let all = findings.problems.filter { $0.problem == problem }
            guard !all.isEmpty else { continue }
            title("\(problem.rawValue): \(all.count)")
            list(all) { "\($0.image.name): \($0.detail)" }
        }
        duplicates(findings.duplicates.filter(\.isExact), "equal files")
        duplicates(findings.duplicates.filter { !$0.isExact }, "look alike")
        if !findings.otherFiles.isEmpty {
            title("no images by their names: \(findings.otherFiles.count)")
            list(findings.otherFiles) { $0 }
        }
        if findings.problems.isEmpty, findings.duplicates.isEmpty {
            Swift.print("\nnothing is wrong with them")
        }
    }

    private func title(_ text: String) { Swift.print("\n\(text)") }

    private func list<Element>(_ all: [Element], _ line: (Element) -> String) {
        for element in all.prefix(most) { Swift.print("  \(line(element))") }
        if all.count > most { Swift.print("  and \(all.count - most) more; see --lines") }
    }

    private func summary() {
        let broken = findings.images - findings.readable
        Swift.print(
            "\(findings.images) images, \(Readable.bytes(findings.bytes)), "
                + (broken == 0 ? "all can be read" : "\(broken) cannot be read"))
        guard let short = findings.shortSides, let long = findings.longSides else { return }
        func text(_ spread: DataFindings.Spread) -> String {
            "\(spread.least) to \(spread.largest), median \(spread.median)"
        }
        func text(_ values: [Float]) -> String {
            values.map { String(format: "%.4f", $0) }.joined(separator: ", ")
        }
        Swift.print("short side \(text(short)) pixels; long side \(text(long))")
        Swift.print("mean \(text(findings.mean)); deviation \(text(findings.deviation))")
    }

    private func classes() {
        guard !findings.classes.isEmpty else { return }
        let hasTest = findings.classes.contains { $0.test > 0 }
        Swift.print()
        var table = Table(
            columns: [("class", .left), ("train", .right)] + (hasTest ? [("test", .right)] : []))
        for row in findings.classes.prefix(max(most, 20)) {
            table.add(
                row: [row.name, "\(row.train)"] + (hasTest ? ["\(row.test)"] : []))
        }
        table.print()
        let rest = findings.classes.count - max(most, 20)
        if most < .max, rest > 0 { Swift.print("and \(rest) more; see --lines") }
        if let imbalance = findings.imbalance, findings.classes.count > 1 {
            Swift.print(
                imbalance.isFinite
                    ? String(format: "the largest class has %.1f times the smallest", imbalance)
                    : "some classes have no training images")
        }
    }

    private func duplicates(_ groups: [DuplicateGroup], _ name: String) {
        guard !groups.isEmpty else { return }
        let splits = groups.count(where: \.isAcrossSplits)
        let classes = groups.count(where: \.isAcrossClasses)
        title(
            "\(name): \(groups.count) \(groups.count == 1 ? "group" : "groups"), \(splits) in both "
                + "train and test, \(classes) in different classes")
        list(groups) { group in
            let marks =
                (group.isAcrossSplits ? ["train and test"] : [])
                + (group.isAcrossClasses ? ["different classes"] : [])
            return group.images.prefix(4).map(\.name).joined(separator: ", ")
                + (group.images.count > 4 ? ", and \(group.images.count - 4) more" : "")
                + (marks.isEmpty ? "" : " (\(marks.joined(separator: ", ")))")
        }
    }
}
