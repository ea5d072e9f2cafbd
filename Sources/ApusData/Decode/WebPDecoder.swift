import Foundation

/// WebP through libwebp, if the machine has it: looked for when the first such file is decoded, so
/// that neither building nor running needs it.
enum WebPDecoder {
    static func isWebP(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 12 && bytes.starts(with: Array("RIFF".utf8))
            && bytes[8..<12].elementsEqual("WEBP".utf8)
    }

    /// Decodes the picture; one with alpha is laid over white.
    static func decode(_ bytes: [UInt8], name: String, limits: ImageDecoder) throws -> Image {
        guard let library = Library.shared else {
            throw DataError(
                name, "is a WebP image, and libwebp is not installed",
                remedy: "install libwebp7 or convert the image to JPEG or PNG")
        }
        func damaged(_ reason: String) -> DataError {
            DataError(
                name, "is a damaged WebP image (\(reason))",
                remedy: "get the file again or remove it")
        }
        return try bytes.withUnsafeBufferPointer { source in
            var width: Int32 = 0
            var height: Int32 = 0
            guard library.info(source.baseAddress, source.count, &width, &height) != 0 else {
                throw damaged("its header is not readable")
            }
            let size = ImageSize(height: Int(height), width: Int(width))
            try limits.checkSize(width: size.width, height: size.height, name: name)
            let samples = size.height * size.width * 4
            let pixels = try [UInt8](unsafeUninitializedCapacity: samples) { target, filled in
                guard
                    let picture = library.begin(rgba, target.baseAddress, samples, width * 4)
                else { throw damaged("there is no memory for it") }
                defer { library.end(picture) }
                var status = suspended
                let clock = ProcessorClock()
                // The library decodes as far as it is given data, which is when one can look at the
                // time.
                for end in stride(from: part, to: source.count + part, by: part)
                where status == suspended {
                    if end > part, clock.seconds > limits.maximumSeconds {
                        throw ImageDecoder.tooSlow(limits.maximumSeconds, name)
                    }
                    status = library.update(picture, source.baseAddress, min(end, source.count))
                }
                guard status == 0 else {
                    throw damaged("its data are cut short, or an animation")
                }
                filled = samples
            }
            return Image(
                width: size.width, height: size.height, channels: 3,
                pixels: PNGDecoder.overWhite(pixels, channels: 3))
        }
    }

    /// How libwebp calls four bytes a pixel, and a picture of which more data are needed.
    private static let rgba: Int32 = 1
    private static let suspended: Int32 = 5
    /// Bytes between looks at the clock.
    private static let part = 1 << 16

    /// The time that this thread works.
    private struct ProcessorClock {
        private let start = now

        var seconds: Double { Self.now - start }

        private static var now: Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
        }
    }

    /// The functions that are used, with the types webp/decode.h gives them.
    private struct Library: @unchecked Sendable {
        typealias Info =
            @convention(c) (
                UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<Int32>,
                UnsafeMutablePointer<Int32>
            ) -> Int32
        typealias Begin =
            @convention(c) (Int32, UnsafeMutablePointer<UInt8>?, Int, Int32) -> OpaquePointer?
        typealias Update = @convention(c) (OpaquePointer?, UnsafePointer<UInt8>?, Int) -> Int32
        typealias End = @convention(c) (OpaquePointer?) -> Void

        let info: Info
        let begin: Begin
        let update: Update
        let end: End

        static let shared: Library? = {
            // The name holds the version of the interface: 7 has been it since 2018.
            guard let handle = dlopen("libwebp.so.7", RTLD_NOW),
                let info = dlsym(handle, "WebPGetInfo"),
                let begin = dlsym(handle, "WebPINewRGB"),
                let update = dlsym(handle, "WebPIUpdate"),
                let end = dlsym(handle, "WebPIDelete")
            else { return nil }
            return Library(
                info: unsafeBitCast(info, to: Info.self),
                begin: unsafeBitCast(begin, to: Begin.self),
                update: unsafeBitCast(update, to: Update.self),
                end: unsafeBitCast(end, to: End.self))
        }()
    }
}
