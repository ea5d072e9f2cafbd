/// A file of bytes in the IDX format of MNIST: two zero bytes, the element type, the number of
/// dimensions, every dimension as a big-endian 32-bit number, then the elements.
package struct IDXFile: Sendable {
    package let dimensions: [Int]
    package let bytes: [UInt8]
    /// Where the elements start in `bytes`.
    package let offset: Int

    /// Reads a file, gzip compressed if its name ends in `.gz`, of `rank` dimensions.
    package init(path: String, rank: Int) throws {
        let bytes = try FileBytes.readDecompressed(path)
        let again = "check that it is the right file, or download it again"
        guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0 else {
            throw DataError(path, "is not an IDX file", remedy: again)
        }
        guard bytes[2] == 0x08 else {
            throw DataError(
                path, "holds IDX elements of type \(bytes[2]), not unsigned bytes (8)",
                remedy: again)
        }
        guard Int(bytes[3]) == rank else {
            throw DataError(
                path, "has \(bytes[3]) dimensions, not \(rank)",
                remedy: "images and labels may be swapped; \(again)")
        }
        offset = 4 + 4 * rank
        guard bytes.count >= offset else {
            throw DataError(path, "is cut short inside its header", remedy: "download it again")
        }
        dimensions = (0..<rank).map { dimension in
            bytes[(4 + 4 * dimension)..<(8 + 4 * dimension)].reduce(0) { $0 << 8 | Int($1) }
        }
        // Four numbers below 2^32 can overflow a product; a real file never comes near.
        var expected = 1
        for dimension in dimensions {
            let (product, overflow) = expected.multipliedReportingOverflow(by: dimension)
            guard !overflow, product <= Int.max / 2 else {
                throw DataError(path, "claims an impossible size", remedy: again)
            }
            expected = product
        }
        guard bytes.count - offset == expected else {
            let state = bytes.count - offset < expected ? "is cut short" : "is too long"
            throw DataError(
                path, "\(state) (\(bytes.count - offset) bytes of data, header says \(expected))",
                remedy: "download it again")
        }
        self.bytes = bytes
    }
}
