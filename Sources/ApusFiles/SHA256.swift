import Foundation

/// The hash of FIPS 180-4, to recognize files. A package for this one function would take longer to
/// build than all of Apus' files.
public struct SHA256 {
    private var state: [UInt32] = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB,
        0x5BE0_CD19,
    ]

    /// The hash of `data`, 64 lowercase hexadecimal digits.
    public static func hex(_ data: Data) -> String {
        var hash = SHA256()
        let whole = data.count / 64 * 64
        data.withUnsafeBytes { bytes in
            var schedule = [UInt32](repeating: 0, count: 64)
            for start in stride(from: 0, to: whole, by: 64) {
                hash.absorb(UnsafeRawBufferPointer(rebasing: bytes[start..<start + 64]), &schedule)
            }
            // A one bit, zeros, and the number of bits end the last block.
            var tail = [UInt8](bytes[whole...]) + [0x80]
            tail += [UInt8](repeating: 0, count: (120 - tail.count) % 64)
            tail += withUnsafeBytes(of: UInt64(data.count * 8).bigEndian) { Array($0) }
            tail.withUnsafeBytes { tail in
                for start in stride(from: 0, to: tail.count, by: 64) {
                    hash.absorb(
                        UnsafeRawBufferPointer(rebasing: tail[start..<start + 64]), &schedule)
                }
            }
        }
        return hash.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    /// The hash of the file at `path`.
    public static func hex(file path: String) throws -> String { hex(try MappedFile.read(path)) }

    private mutating func absorb(_ block: UnsafeRawBufferPointer, _ w: inout [UInt32]) {
        for i in 0..<16 {
            w[i] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
        }
        for i in 16..<64 {
            let s0 = w[i - 15].rotated(7) ^ w[i - 15].rotated(18) ^ w[i - 15] >> 3
            let s1 = w[i - 2].rotated(17) ^ w[i - 2].rotated(19) ^ w[i - 2] >> 10
            w[i] = w[i - 16] &+ s0 &+ w[i - 7] &+ s1
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for i in 0..<64 {
            let s1 = e.rotated(6) ^ e.rotated(11) ^ e.rotated(25)
            let t1 = h &+ s1 &+ (e & f ^ ~e & g) &+ Self.constants[i] &+ w[i]
            let s0 = a.rotated(2) ^ a.rotated(13) ^ a.rotated(22)
            let t2 = s0 &+ (a & b ^ a & c ^ b & c)
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
        }
        for (i, value) in [a, b, c, d, e, f, g, h].enumerated() { state[i] &+= value }
    }

    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    private static let constants: [UInt32] = {
        var primes: [Int] = []
        var number = 2
        while primes.count < 64 {
            if primes.allSatisfy({ !number.isMultiple(of: $0) }) { primes.append(number) }
            number += 1
        }
        return primes.map { prime in
            let root = cbrt(Double(prime))
            return UInt32((root - root.rounded(.down)) * 0x1p32)
        }
    }()
}

extension UInt32 {
    fileprivate func rotated(_ count: UInt32) -> UInt32 { self >> count | self << (32 - count) }
}
