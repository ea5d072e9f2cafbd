import Foundation

/// A task that failed, in one line.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension Error {
    /// The first line of what went wrong.
    var brief: String {
        let text: String
        switch self {
        case let error as DecodingError:
            text = error.problem
        case _ where type(of: self) is NSError.Type || self is CocoaError || self is POSIXError:
            // Their descriptions hold everything they know, over many lines.
            text = localizedDescription
        case let error as any CustomStringConvertible & Error:
            text = error.description
        default:
            text = localizedDescription
        }
        return text.split(separator: "\n").first.map(String.init) ?? "unknown error"
    }
}

extension DecodingError {
    fileprivate var problem: String {
        switch self {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .dataCorrupted(let context):
            context.debugDescription
        @unknown default: "it cannot be read"
        }
    }
}

/// Prints a value as one line of JSON.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
    // Whoever reads events wants them now.
    fflush(nil)
}
