import Synchronization

/// Turns the bytes of a JPEG, PNG or WebP file into an image. WebP needs libwebp on the machine.
public struct ImageDecoder: Hashable, Sendable {
    /// Images of more pixels are an error before memory is asked for: a file of a few hundred
    /// bytes can claim any size.
    public var maximumPixels: Int
    /// Larger files are an error before they are read.
    public var maximumBytes: Int
    /// JPEG images of more scans are an error: each costs the time of decoding a whole image,
    /// and takes only a few bytes.
    public var maximumScans: Int
    /// Images that take more seconds of a processor's time to decode are an error.
    public var maximumSeconds: Double

    /// What is not given is that of `standard`.
    public init(
        maximumPixels: Int? = nil, maximumBytes: Int? = nil, maximumScans: Int? = nil,
        maximumSeconds: Double? = nil
    ) {
        self = ImageDecoder.standard
        if let maximumPixels { self.maximumPixels = maximumPixels }
        if let maximumBytes { self.maximumBytes = maximumBytes }
        if let maximumScans { self.maximumScans = maximumScans }
        if let maximumSeconds { self.maximumSeconds = maximumSeconds }
    }

    /// The limits where nobody gives any. A command sets them from its flags before it opens data;
    /// a library's user gives sources a decoder instead.
    package static var standard: ImageDecoder {
        get { standardLimits.withLock { $0 } }
        set { standardLimits.withLock { $0 = newValue } }
    }

    private static let standardLimits = Mutex(
        ImageDecoder(pixels: 100_000_000, bytes: 1 << 28, scans: 100, seconds: 20))

    private init(pixels: Int, bytes: Int, scans: Int, seconds: Double) {
        maximumPixels = pixels
        maximumBytes = bytes
        maximumScans = scans
        maximumSeconds = seconds
    }

    /// Decodes the file at `path`.
    public func decode(contentsOf path: String) throws -> Image {
        try decode(read(path), name: path)
    }

    /// Reads the file at `path`, for decoding it later.
    public func read(_ path: String) throws -> [UInt8] {
        try FileBytes.read(path, limit: maximumBytes) { tooLarge($0, path) }
    }

    /// The error for an image of more than `maximumBytes`.
    func tooLarge(_ size: Int, _ name: String) -> DataError {
        DataError(
            name, "has \(size) bytes, more than the limit of \(maximumBytes)",
            remedy: "scale the image down or raise --max-bytes")
    }

    /// The error for an image that takes more than `maximumSeconds`.
    static func tooSlow(_ seconds: Double, _ name: String) -> DataError {
        DataError(
            name, "takes more than the limit of \(seconds) seconds to decode",
            remedy: "save it again, smaller, or raise --max-seconds")
    }

    static func isJPEG(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0xFF, 0xD8, 0xFF]) }

    /// Decodes a file held in memory; `name` is what errors call it.
    ///
    /// The kind is told from the content: a JPEG named `.png` is read as a JPEG. Damaged files
    /// are errors even where a decoder could guess the rest.
    public func decode(_ bytes: [UInt8], name: String) throws -> Image {
        if Self.isJPEG(bytes) {
            return try bytes.withUnsafeBufferPointer {
                try JPEGDecoder.decode($0, name: name, limits: self)
            }
        }
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            return try PNGDecoder.decode(bytes, name: name, limits: self)
        }
        if WebPDecoder.isWebP(bytes) {
            return try WebPDecoder.decode(bytes, name: name, limits: self)
        }
        throw DataError(
            name, "is not a JPEG, PNG or WebP image (\(Self.describe(bytes)))",
            remedy: "convert it to one of them or remove it")
    }

    /// A few words on what a file that is no image starts with.
    private static func describe(_ bytes: [UInt8]) -> String {
        if bytes.isEmpty { return "it is empty" }
        let start = bytes.prefix(12)
        if start.allSatisfy({ (0x20..<0x7F).contains($0) || [9, 10, 13].contains($0) }) {
            let text = String(decoding: start, as: UTF8.self)
            let words = String(text.map { $0.isNewline || $0 == "\t" ? " " : $0 })
            return "it starts with the text \"\(words)\""
        }
        let hex = start.prefix(4).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
        return "it starts with the bytes \(hex.joined(separator: " "))"
    }

    func checkSize(width: Int, height: Int, name: String) throws {
        guard width > 0, height > 0 else {
            throw DataError(name, "has no pixels", remedy: "remove it")
        }
        // Division instead of a product: a damaged header must not overflow.
        guard width <= maximumPixels / height else {
            throw DataError(
                name, "is \(width)x\(height), more than the limit of \(maximumPixels) pixels",
                remedy: "scale it down or raise --max-pixels")
        }
    }
}
