import Synchronization

/// What a loader does about images that cannot be read.
public enum BrokenImages: String, Hashable, Codable, Sendable {
    /// The first one is an error.
    case stop
    /// The next readable image of the source takes its place. The loader lists what was replaced;
    /// more than a tenth of all images, or a thousand, are an error.
    case replace

    /// The most images of `count` that may be replaced. A few are always allowed, as a tenth of a
    /// small set would be none.
    static func limit(of count: Int) -> Int { max(8, min(1000, count / 10)) }
}

/// An image that cannot be read.
public struct BrokenImage: Hashable, Sendable {
    /// Its position in the source.
    public let sample: Int
    /// One line that names it.
    public let reason: String
}

/// The images of a source that workers know they cannot read, so that none is tried twice.
final class BrokenRegister: Sendable {
    private let reasons = Mutex<[Int: String]>([:])

    func reason(of sample: Int) -> String? { reasons.withLock { $0[sample] } }
    func add(_ image: BrokenImage) {
        reasons.withLock { $0[image.sample] = image.reason }
    }

    /// Calls `make` with `sample`, or with the next image after it for which `make` does not throw.
    /// Which one that is depends on the source alone. Images on the way are added to `broken`.
    func replacing(
        _ sample: Int, of count: Int, _ broken: inout [BrokenImage], _ make: (Int) throws -> Void
    ) throws -> Int {
        let limit = BrokenImages.limit(of: count)
        // More broken images in a row than may be replaced are an error anyway.
        for step in 0..<min(count, limit + 1) {
            let candidate = (sample + step) % count
            if let reason = reason(of: candidate) {
                broken.append(BrokenImage(sample: candidate, reason: reason))
                continue
            }
            do {
                try make(candidate)
                return candidate
            } catch {
                let image = BrokenImage(sample: candidate, reason: "\(error)")
                add(image)
                broken.append(image)
            }
        }
        throw Self.tooMany(min(count, limit + 1), of: count, limit, broken.first?.reason ?? "")
    }

    static func tooMany(_ broken: Int, of count: Int, _ limit: Int, _ first: String) -> DataError {
        DataError(
            "data set",
            "\(broken) of \(count) images cannot be used, more than \(limit); the first: \(first)",
            remedy: "look at them with `apus data check`")
    }
}
