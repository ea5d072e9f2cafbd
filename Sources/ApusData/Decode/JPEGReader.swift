import CJPEG

/// Reads parts of JPEG pictures through libjpeg-turbo: one for each thread, picture after picture.
final class JPEGReader {
    /// What the header of a file says.
    struct Header {
        /// As the picture is stored, not turned upright.
        let size: ImageSize
        /// 1 for gray, 3 for color, 4 for inks.
        let samples: Int
        /// As EXIF numbers it.
        let orientation: Int

        var uprightSize: ImageSize {
            EXIFOrientation.transposes(orientation)
                ? ImageSize(height: size.width, width: size.height) : size
        }
    }

    private let handle: OpaquePointer
    /// Of the picture that is read.
    private var maximumSeconds = 0.0

    init(name: String) throws {
        guard let handle = apus_jpeg_create() else {
            throw DataError(name, "cannot be decoded (no memory)", remedy: "free some memory")
        }
        self.handle = handle
    }

    deinit { apus_jpeg_destroy(handle) }

    /// Reads the header of a file, which must stay where it is until the pixels are read.
    func begin(
        _ bytes: UnsafeBufferPointer<UInt8>, name: String, limits: ImageDecoder
    ) throws -> Header {
        var header = apus_jpeg_header()
        guard
            apus_jpeg_begin(
                handle, bytes.baseAddress, UInt(bytes.count), Int32(limits.maximumScans),
                limits.maximumSeconds, &header) != 0
        else { throw failure(name) }
        maximumSeconds = limits.maximumSeconds
        try limits.checkSize(width: Int(header.width), height: Int(header.height), name: name)
        // Rows below a part are not read, so a file cut short has to be found by its end.
        guard Self.isWhole(bytes) else {
            throw DataError(
                name, "is a damaged JPEG image (premature end of the data)",
                remedy: "get the file again or remove it")
        }
        return Header(
            size: ImageSize(height: Int(header.height), width: Int(header.width)),
            samples: Int(header.samples), orientation: EXIFOrientation.parse(bytes))
    }

    /// Decodes the part of the stored picture at 1 / `denominator` of its size that `box` lies in:
    /// where libjpeg cannot begin at a column the part is wider.
    ///
    /// - Parameters:
    ///   - box: in pixels of the reduced picture
    ///   - samples: 1, 3 or 4 a pixel
    ///   - memory: gives room for so many bytes
    /// - Returns: where the pixels are, and which part of the reduced picture they are.
    func read(
        _ box: Box, denominator: Int, samples: Int, name: String,
        memory: (Int) -> UnsafeMutablePointer<UInt8>
    ) throws -> (pixels: UnsafeMutablePointer<UInt8>, box: Box) {
        var left = Int32(box.left)
        var width = Int32(box.width)
        guard
            apus_jpeg_start(handle, Int32(denominator), Int32(samples), &left, &width) != 0
        else { throw failure(name) }
        let pixels = memory(Int(width) * box.height * samples)
        guard apus_jpeg_read(handle, Int32(box.top), Int32(box.height), pixels) != 0 else {
            throw failure(name)
        }
        return (
            pixels, Box(top: box.top, left: Int(left), height: box.height, width: Int(width))
        )
    }

    /// Whether the file has an end marker behind its header. Nothing in the data of a picture looks
    /// like one, and it is nearly always the last two bytes.
    private static func isWhole(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var position = bytes.count - 1
        while position > 2 {
            if bytes[position] == 0xD9, bytes[position - 1] == 0xFF { return true }
            position -= 1
        }
        return false
    }

    private func failure(_ name: String) -> DataError {
        let reason = String(cString: apus_jpeg_message(handle))
        switch apus_jpeg_exceeded(handle) {
        case APUS_JPEG_SCANS:
            return DataError(
                name, "is a JPEG image of \(reason), which would take long to decode",
                remedy: "save it again or raise --max-scans")
        case APUS_JPEG_SECONDS:
            return ImageDecoder.tooSlow(maximumSeconds, name)
        default:
            return DataError(
                name, "is a damaged JPEG image (\(reason))",
                remedy: "get the file again or remove it")
        }
    }
}
