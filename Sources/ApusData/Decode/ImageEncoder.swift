import CPNG
import CTurboJPEG

/// Turns images into files held in memory: contact sheets, and pictures for tests.
public enum ImageEncoder {
    /// The image as a PNG file.
    public static func encodePNG(_ image: Image) throws -> [UInt8] {
        let width = UInt32(image.width)
        let height = UInt32(image.height)
        let bound = apus_png_bound(width, height, Int32(image.channels))
        return try [UInt8](unsafeUninitializedCapacity: bound) { target, filled in
            var count = bound
            try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { message in
                let failure = image.pixels.withUnsafeBufferPointer { pixels in
                    apus_png_write(
                        width, height, Int32(image.channels), pixels.baseAddress,
                        target.baseAddress, &count, message.baseAddress)
                }
                if let failure {
                    throw DataError(
                        "PNG encoder", String(cString: failure), remedy: "write a smaller image")
                }
            }
            filled = count
        }
    }

    /// The image as a JPEG file of `quality` 1...100; color is stored at half resolution below 90.
    public static func encodeJPEG(_ image: Image, quality: Int = 90) throws -> [UInt8] {
        guard let handle = tjInitCompress() else {
            throw DataError("JPEG encoder", "cannot start", remedy: "free some memory")
        }
        defer { tjDestroy(handle) }
        let color = quality >= 90 ? TJSAMP_444 : TJSAMP_420
        let sampling = image.channels == 1 ? TJSAMP_GRAY : color
        let format = image.channels == 1 ? TJPF_GRAY : TJPF_RGB
        var memory: UnsafeMutablePointer<UInt8>?
        var count: UInt = 0
        defer { tjFree(memory) }
        let status = image.pixels.withUnsafeBufferPointer { pixels in
            tjCompress2(
                handle, pixels.baseAddress, Int32(image.width), 0, Int32(image.height),
                Int32(format.rawValue), &memory, &count, Int32(sampling.rawValue),
                Int32(min(max(quality, 1), 100)), TJFLAG_ACCURATEDCT)
        }
        guard status == 0, let memory else {
            let reason = tjGetErrorStr2(handle).map { String(cString: $0) } ?? "no reason given"
            throw DataError("JPEG encoder", reason, remedy: "write a smaller image")
        }
        return Array(UnsafeBufferPointer(start: memory, count: Int(count)))
    }
}
