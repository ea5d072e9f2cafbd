import Foundation

/// What went wrong with a file, a folder or an option of the data pipeline.
///
/// The message is always one line: the place, the problem, and what to do about it.
public struct DataError: LocalizedError, CustomStringConvertible, Hashable, Sendable {
    /// The file, folder or option the error is about.
    public let place: String
    /// What is wrong with it.
    public let problem: String
    /// What the user can do about it.
    public let remedy: String

    public init(_ place: String, _ problem: String, remedy: String) {
        self.place = place
        self.problem = problem
        self.remedy = remedy
    }

    /// The same error, with another thing that the user can do.
    package func adding(remedy other: String) -> DataError {
        DataError(place, problem, remedy: "\(remedy), or \(other)")
    }

    public var description: String {
        // File names and library messages may hold line breaks; an error is one line.
        let line = "\(place): \(problem); \(remedy)"
        return String(line.map { $0.isNewline || $0 == "\t" ? " " : $0 })
    }

    public var errorDescription: String? { description }
}
