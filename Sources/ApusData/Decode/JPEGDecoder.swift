import CTurboJPEG

/// JPEG through TurboJPEG.
enum JPEGDecoder {
    static func decode(_ bytes: [UInt8], name: String, maximumPixels: Int) throws -> Image {
        guard let handle = tjInitDecompress() else {
            throw DataError(name, "cannot be decoded (no memory)", remedy: "free some memory")
        }
        defer { tjDestroy(handle) }
        let header = try readHeader(bytes, handle, name)
        try ImageDecoder.checkSize(
            width: header.width, height: header.height, name: name, maximumPixels: maximumPixels)

        let format: TJPF
        let samples: Int
        switch header.colorSpace {
        case Int32(TJCS_GRAY.rawValue): (format, samples) = (TJPF_GRAY, 1)
        case Int32(TJCS_CMYK.rawValue), Int32(TJCS_YCCK.rawValue):
            // TurboJPEG turns YCCK into CMYK but neither of them into RGB.
            (format, samples) = (TJPF_CMYK, 4)
        default: (format, samples) = (TJPF_RGB, 3)
        }
        // A warning means that part of the picture is made up, such as the gray lower half of a
        // file cut short; a run of scans is a known way to make a small file slow to decode.
        let flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS
        let count = header.width * header.height * samples
        let pixels = try [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            let status = bytes.withUnsafeBufferPointer { source in
                tjDecompress2(
                    handle, source.baseAddress, UInt(source.count), target.baseAddress,
                    Int32(header.width), 0, Int32(header.height), Int32(format.rawValue), flags)
            }
            guard status == 0 else { throw damaged(handle, name) }
            filled = count
        }
        let image = Image(
            width: header.width, height: header.height, channels: samples == 1 ? 1 : 3,
            pixels: samples == 4 ? convertAdobeCMYK(pixels) : pixels)
        return image.oriented(EXIFOrientation.parse(bytes))
    }

    private struct Header {
        var width: Int
        var height: Int
        var colorSpace: Int32
    }

    private static func readHeader(
        _ bytes: [UInt8], _ handle: tjhandle, _ name: String
    ) throws -> Header {
        var width: Int32 = 0
        var height: Int32 = 0
        var subsampling: Int32 = 0
        var colorSpace: Int32 = -1
        _ = bytes.withUnsafeBufferPointer { source in
            tjDecompressHeader3(
                handle, source.baseAddress, UInt(source.count), &width, &height, &subsampling,
                &colorSpace)
        }
        // The call also fails for chroma sampling it has no name for, which decodes all the same.
        guard width > 0, height > 0, colorSpace >= 0 else { throw damaged(handle, name) }
        return Header(width: Int(width), height: Int(height), colorSpace: colorSpace)
    }

    private static func damaged(_ handle: tjhandle, _ name: String) -> DataError {
        let reason = tjGetErrorStr2(handle).map { String(cString: $0) } ?? "no reason given"
        return DataError(
            name, "is a damaged JPEG image (\(reason))",
            remedy: "get the file again or remove it")
    }

    /// RGB from CMYK as Adobe programs store it: inverted, so that 255 means no ink.
    ///
    /// The few files of other programs that do not invert cannot be told apart; PIL makes the
    /// same choice and the same rounding.
    private static func convertAdobeCMYK(_ cmyk: [UInt8]) -> [UInt8] {
        let count = cmyk.count / 4
        return [UInt8](unsafeUninitializedCapacity: count * 3) { target, filled in
            cmyk.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress, let to = target.baseAddress else { return }
                for i in 0..<count {
                    let white = UInt32(from[4 * i + 3])
                    for c in 0..<3 {
                        let product = (255 &- UInt32(from[4 * i + c])) &* white &+ 128
                        let ink = ((product >> 8) &+ product) >> 8
                        to[3 * i + c] = UInt8(truncatingIfNeeded: white &- ink)
                    }
                }
            }
            filled = count * 3
        }
    }
}
