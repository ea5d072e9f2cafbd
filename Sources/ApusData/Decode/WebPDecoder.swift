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
                // Decoding to memory of ours fails where the data end early.
                let result = library.decode(
                    source.baseAddress, source.count, target.baseAddress, samples, width * 4)
                guard result != nil else {
                    throw damaged("its data are cut short, or an animation")
                }
                filled = samples
            }
            return Image(
                width: size.width, height: size.height, channels: 3,
                pixels: PNGDecoder.overWhite(pixels, channels: 3))
        }
    }

    /// The two functions that are used, with the types webp/decode.h gives them.
    private struct Library: @unchecked Sendable {
        typealias Info =
            @convention(c) (
                UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<Int32>,
                UnsafeMutablePointer<Int32>
            ) -> Int32
        typealias Decode =
            @convention(c) (
                UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UInt8>?, Int, Int32
            ) -> UnsafeMutablePointer<UInt8>?

        let info: Info
        let decode: Decode

        static let shared: Library? = {
            // The name holds the version of the interface: 7 has been it since 2018.
            guard let handle = dlopen("libwebp.so.7", RTLD_NOW),
                let info = dlsym(handle, "WebPGetInfo"),
                let decode = dlsym(handle, "WebPDecodeRGBAInto")
            else { return nil }
            return Library(
                info: unsafeBitCast(info, to: Info.self),
                decode: unsafeBitCast(decode, to: Decode.self))
        }()
    }
}
