/// The kinds of image files that sources take up, by their name or by their content.
package enum ImageKind: String, Hashable, Codable, Sendable, CaseIterable {
    case jpeg
    case png
    case webp

    /// The endings of file names that are taken for images, in any case.
    package static let endings = ["jpg", "jpeg", "png", "webp"]

    /// What the ending of a file's name says; nil if it does not name an image.
    package init?(fileName: String) {
        guard let dot = fileName.lastIndex(of: ".") else { return nil }
        switch fileName[fileName.index(after: dot)...].lowercased() {
        case "jpg", "jpeg": self = .jpeg
        case "png": self = .png
        case "webp": self = .webp
        default: return nil
        }
    }

    /// What the first bytes of a file say.
    package init?(content bytes: some Collection<UInt8>) {
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if bytes.starts(with: "RIFF".utf8), bytes.dropFirst(8).starts(with: "WEBP".utf8) {
            self = .webp
        } else {
            return nil
        }
    }

    /// Whether a file of this kind lacks its end, as downloads that broke off do.
    package func isCutShort(_ bytes: [UInt8]) -> Bool {
        switch self {
        case .jpeg:
            // The end of the image may be followed by a camera's own data, rarely by much.
            let tail = bytes.suffix(1 << 16)
            return !zip(tail, tail.dropFirst()).contains { $0 == 0xFF && $1 == 0xD9 }
        case .png:
            let tail = bytes.suffix(1 << 12)
            let end = Array("IEND".utf8)
            return !tail.indices.contains { tail[$0...].starts(with: end) }
        case .webp:
            guard bytes.count >= 12 else { return true }
            let size = bytes[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
            return size + 8 > bytes.count
        }
    }
}
