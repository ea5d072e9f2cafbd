import ApusFiles
import Foundation

/// Where an experiment keeps what it does:
///
///     index.html      the page
///     results.json    what the page is made of
///     jobs/           one file a finished job, by what was asked
package struct LabFolder {
    let path: String

    package init(path: String) { self.path = path }

    var pagePath: String { path + "/index.html" }
    var resultsPath: String { path + "/results.json" }

    package func create() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path + "/jobs", withIntermediateDirectories: true)
        } catch {
            throw LabError(
                "cannot make the folder \(path): \(error.localizedDescription); choose another with "
                    + "--out")
        }
    }

    static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }

    static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return decoder
    }

    static func read<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
        do {
            return try decoder.decode(type, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch is DecodingError {
            throw LabError("\(path) is damaged or of another version; remove it and run again")
        }
    }
}
