import Foundation

/// What went wrong with one file, as one line that names the file, the problem and the remedy.
public struct FileError: Error, Hashable, Sendable {
    /// The file in question, as the caller named it.
    public let path: String
    /// The whole line, without control characters.
    public let message: String

    /// The line "`path` `problem`; `remedy`", where `problem` reads on after the path:
    /// "ends 12 bytes too early".
    public init(_ path: String, _ problem: String, remedy: String) {
        self.init(path: path, message: "\(path) \(problem); \(remedy)")
    }

    /// A line that already names the file.
    public init(path: String, message: String) {
        self.path = path
        self.message = FileError.oneLine(message)
    }

    /// Text from a file may hold anything; line breaks and terminal escapes must not get through.
    private static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                line += "\\u{\(String(scalar.value, radix: 16))}"
            default: line.unicodeScalars.append(scalar)
            }
        }
        return line
    }
}

extension FileError: CustomStringConvertible, LocalizedError {
    public var description: String { message }
    public var errorDescription: String? { message }
}

/// A name out of a file, quoted for a message and cut to a readable length.
func quoted(_ name: String) -> String {
    name.unicodeScalars.count <= 120
        ? "`\(name)`" : "`\(String(String.UnicodeScalarView(name.unicodeScalars.prefix(120))))...`"
}

/// "1 byte", "2 bytes".
func byteText(_ count: Int) -> String { count == 1 ? "1 byte" : "\(count) bytes" }
